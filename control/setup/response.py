"""The response of a channel: stages of its sensor, then of its digitizer, from sensitivities or from response files.

Response files are what the Nominal Response Library (NRL) and manufacturers give: RESP, StationXML, and what else ObsPy
reads as an inventory. In the NRL a file of a sensor has a digitizer that changes nothing, and the other way round;
stages that change nothing are left out.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rawdaq.control.setup.codes import Sensor
from rawdaq.control.setup.scml import Stage, is_only_gain
from rawdaq.errors import ComponentError

# ObsPy's, which has no types.
Response: TypeAlias = Any

_VOLT, _COUNTS = "V", "COUNTS"
_UNIT_WORDS = {_VOLT: "voltage in volts", _COUNTS: "digital counts"}
_RATE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Chain:
    """A sensor and its digitizer; each has a file, or a sensitivity.

    Attributes:
        sensor_sensitivity: volts for one unit of what the sensor measures.
        digitizer_sensitivity: counts for one volt.
        sensor_file: the response of the sensor.
        digitizer_file: the response of the digitizer.
    """

    sensor_sensitivity: float | None = None
    digitizer_sensitivity: float | None = None
    sensor_file: Path | None = None
    digitizer_file: Path | None = None

    def missing(self) -> str | None:
        """Return what has to be said yet; None when it is complete."""
        if self.sensor_file is None and self.sensor_sensitivity is None:
            return "its sensor: --sensor-sensitivity VOLTS_PER_UNIT, or --sensor-response FILE"
        if self.digitizer_file is None and self.digitizer_sensitivity is None:
            return "its digitizer: --digitizer-sensitivity COUNTS_PER_VOLT, or --digitizer-response FILE"
        return None


def response(chain: Chain, sensor: Sensor, rate_hz: float) -> Response:
    """Return the response of a channel of *rate_hz*.

    Raises:
        ComponentError: a file cannot be read, or does not fit; the text says why.
    """
    from obspy.core.inventory import response as obspy_response

    frequency_hz = reference_frequency_hz(rate_hz)
    stages = [*_sensor_stages(chain, sensor, frequency_hz), *_digitizer_stages(chain, rate_hz, frequency_hz)]
    for number, stage in enumerate(stages, 1):
        stage.stage_sequence_number = number
    total = math.prod(stage.stage_gain or 1.0 for stage in stages)
    first, last = stages[0], stages[-1]
    sensitivity = obspy_response.InstrumentSensitivity(
        total,
        frequency_hz,
        first.input_units,
        last.output_units,
        input_units_description=first.input_units_description,
        output_units_description=last.output_units_description,
    )
    made: Response = obspy_response.Response(instrument_sensitivity=sensitivity, response_stages=stages)
    if chain.sensor_file or chain.digitizer_file:
        made.instrument_sensitivity.value = _sensitivity(made, frequency_hz)
    return made


def reference_frequency_hz(rate_hz: float) -> float:
    """Return where the sensitivity is stated: 1 Hz, or a tenth of the rate where 1 Hz is not what it is made for."""
    return 1.0 if 10 <= rate_hz < 5000 else rate_hz / 10


def _sensitivity(made: Response, frequency_hz: float) -> float:
    """Return what all stages make of one unit at *frequency_hz*: their gains are stated at frequencies of their own."""
    import numpy as np

    found = made.get_evalresp_response_for_frequencies(np.array([frequency_hz], dtype=float), output="DEF")
    return float(np.abs(found[0]))


def _sensor_stages(chain: Chain, sensor: Sensor, frequency_hz: float) -> list[Stage]:
    from obspy.core.inventory.response import PolesZerosResponseStage

    if chain.sensor_file is not None:
        stages = [each for each in read_stages(chain.sensor_file) if not _changes_nothing(each)]
        if not stages or stages[-1].output_units.upper() != _VOLT:
            raise ComponentError(
                f"{chain.sensor_file} is not the response of a sensor: it has no stages that end in volts; take the "
                "file of the sensor alone"
            )
        return stages
    stage: Stage = PolesZerosResponseStage(
        1,
        chain.sensor_sensitivity,
        frequency_hz,
        sensor.unit,
        _VOLT,
        "LAPLACE (RADIANS/SECOND)",
        frequency_hz,
        [],
        [],
        input_units_description=sensor.meaning,
        output_units_description=_UNIT_WORDS[_VOLT],
    )
    return [stage]


def _digitizer_stages(chain: Chain, rate_hz: float, frequency_hz: float) -> list[Stage]:
    from obspy.core.inventory.response import CoefficientsTypeResponseStage

    if chain.digitizer_file is not None:
        stages = [each for each in read_stages(chain.digitizer_file) if not _changes_nothing(each)]
        _check_digitizer(chain.digitizer_file, stages, rate_hz)
        return stages
    stage: Stage = CoefficientsTypeResponseStage(
        2,
        chain.digitizer_sensitivity,
        frequency_hz,
        _VOLT,
        _COUNTS,
        "DIGITAL",
        numerator=[],
        denominator=[],
        input_units_description=_UNIT_WORDS[_VOLT],
        output_units_description=_UNIT_WORDS[_COUNTS],
        decimation_input_sample_rate=rate_hz,
        decimation_factor=1,
        decimation_offset=0,
        decimation_delay=0.0,
        decimation_correction=0.0,
    )
    return [stage]


def _check_digitizer(file: Path, stages: Sequence[Stage], rate_hz: float) -> None:
    if not stages or stages[0].input_units.upper() != _VOLT or not stages[-1].output_units.upper().startswith("COUNT"):
        raise ComponentError(
            f"{file} is not the response of a digitizer: it has no stages from volts to counts; take the file of the "
            "digitizer alone"
        )
    rates = [each.decimation_input_sample_rate / each.decimation_factor for each in stages if _decimates(each)]
    if rates and abs(rates[-1] / rate_hz - 1) > _RATE_TOLERANCE:
        raise ComponentError(
            f"{file} is for {rates[-1]:g} Hz, the channel has {rate_hz:g} Hz; take the digitizer's file for this rate"
        )


def _decimates(stage: Stage) -> bool:
    return bool(stage.decimation_input_sample_rate and stage.decimation_factor)


def read_stages(file: Path) -> list[Stage]:
    """Return the stages of the first channel in *file* that has any.

    Raises:
        ComponentError: it cannot be read, or has none.
    """
    import obspy

    try:
        inventory: Any = obspy.read_inventory(io.BytesIO(file.read_bytes()))
    except OSError as error:
        raise ComponentError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # ObsPy's readers raise whatever a library of theirs does
        raise ComponentError(f"{file} is no RESP or StationXML file that ObsPy reads: {error}") from error
    channels = (channel for network in inventory for station in network for channel in station)
    for channel in channels:
        if channel.response is not None and channel.response.response_stages:
            stages: list[Stage] = channel.response.response_stages
            return stages
    raise ComponentError(f"{file} has no response stages; take a file with a whole response")


def _changes_nothing(stage: Stage) -> bool:
    """Whether *stage* only stands for a part that the file is not about."""
    return is_only_gain(stage) and stage.stage_gain in (None, 1.0)
