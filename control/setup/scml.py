"""SeisComP's inventory (SCML 0.13, read by SeisComP 5 and later) of an ObsPy inventory."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeAlias
from xml.etree import ElementTree as ET

from rawdaq.errors import ComponentError

# ObsPy's, which has no types.
Inventory: TypeAlias = Any
Stage: TypeAlias = Any

VERSION = "0.13"
NAMESPACE = f"http://geofon.gfz-potsdam.de/ns/seiscomp3-schema/{VERSION}"
_MAX_DENOMINATOR = 1_000_000
_SYMMETRIES = {"NONE": "A", "ODD": "B", "EVEN": "C"}


def scml(made: Inventory) -> str:
    """Return *made* as SCML.

    Raises:
        ComponentError: a response has a stage that is neither poles and zeros, nor coefficients without feedback.
    """
    root = ET.Element("seiscomp", xmlns=NAMESPACE, version=VERSION)
    writer = _Writer(ET.SubElement(root, "Inventory"))
    for network in made:
        writer.add(network)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


class _Writer:
    """Writes networks below *parent*; sensors, dataloggers and responses stand before them, as SeisComP has it."""

    def __init__(self, parent: ET.Element) -> None:
        self._parent = parent
        self._networks: list[ET.Element] = []

    def add(self, network: Any) -> None:
        """Add a network with its instruments."""
        element = ET.Element("network", publicID=f"Network/{network.code}", code=network.code)
        _texts(element, start=_time(network.start_date), restricted="false", shared="true")
        for station in network:
            self._add_station(element, network.code, station)
        self._parent.append(element)

    def _add_station(self, parent: ET.Element, network: str, station: Any) -> None:
        name = f"{network}.{station.code}"
        element = ET.SubElement(parent, "station", publicID=f"Station/{name}", code=station.code)
        _texts(
            element,
            start=_time(station.start_date),
            description=station.site.name,
            latitude=station.latitude,
            longitude=station.longitude,
            elevation=station.elevation,
            restricted="false",
            shared="true",
        )
        places: dict[str, ET.Element] = {}
        for channel in station:
            place = places.get(channel.location_code)
            if place is None:
                public_id = f"SensorLocation/{name}.{channel.location_code}"
                place = ET.SubElement(element, "sensorLocation", publicID=public_id, code=channel.location_code)
                _texts(
                    place,
                    start=_time(channel.start_date),
                    latitude=channel.latitude,
                    longitude=channel.longitude,
                    elevation=channel.elevation,
                )
                places[channel.location_code] = place
            self._add_stream(place, f"{name}.{channel.location_code}.{channel.code}", channel)

    def _add_stream(self, parent: ET.Element, name: str, channel: Any) -> None:
        rate = Fraction(float(channel.sample_rate)).limit_denominator(_MAX_DENOMINATOR)
        self._add_instruments(name, channel, rate)
        sensitivity = channel.response.instrument_sensitivity
        element = ET.SubElement(
            parent, "stream", code=channel.code, datalogger=f"Datalogger/{name}", sensor=f"Sensor/{name}"
        )
        _texts(
            element,
            start=_time(channel.start_date),
            sampleRateNumerator=rate.numerator,
            sampleRateDenominator=rate.denominator,
            depth=channel.depth,
            azimuth=channel.azimuth,
            dip=channel.dip,
            gain=sensitivity.value,
            gainFrequency=sensitivity.frequency,
            gainUnit=sensitivity.input_units,
            format="Steim2",
            flags="GC",
            restricted="false",
            shared="true",
        )

    def _add_instruments(self, name: str, channel: Any, rate: Fraction) -> None:
        """Add sensor and datalogger of a stream, with the responses of their stages."""
        first, *others = channel.response.response_stages
        sensor = ET.SubElement(
            self._parent, "sensor", publicID=f"Sensor/{name}", name=name, response=self._response(name, first, False)
        )
        _texts(sensor, description=channel.sensor.description, type=channel.sensor.type, unit=first.input_units)
        datalogger = ET.SubElement(self._parent, "datalogger", publicID=f"Datalogger/{name}", name=name)
        gain, analogue, digital = 1.0, list[str](), list[str]()
        for stage in others:
            if is_only_gain(stage):
                gain *= stage.stage_gain or 1.0
            else:
                is_digital = stage.decimation_input_sample_rate is not None
                (digital if is_digital else analogue).append(self._response(name, stage, is_digital))
        _texts(datalogger, description=channel.data_logger.description, gain=gain)
        decimation = ET.SubElement(
            datalogger,
            "decimation",
            sampleRateNumerator=str(rate.numerator),
            sampleRateDenominator=str(rate.denominator),
        )
        _texts(decimation, analogueFilterChain=" ".join(analogue), digitalFilterChain=" ".join(digital))

    def _response(self, name: str, stage: Stage, is_digital: bool) -> str:
        """Add the response of *stage* and return its identifier."""
        from obspy.core.inventory.response import (
            CoefficientsTypeResponseStage,
            FIRResponseStage,
            PolesZerosResponseStage,
        )

        stage_name = f"{name}.{stage.stage_sequence_number}"
        if isinstance(stage, PolesZerosResponseStage):
            element = self._element("responsePAZ", stage_name)
            _poles_zeros(element, stage)
        elif isinstance(stage, FIRResponseStage):
            element = self._element("responseFIR", stage_name)
            _fir(element, stage, stage.coefficients, _SYMMETRIES[stage.symmetry])
        elif isinstance(stage, CoefficientsTypeResponseStage) and is_digital and not _feeds_back(stage):
            element = self._element("responseFIR", stage_name)
            _fir(element, stage, stage.numerator, "A")
        else:
            raise ComponentError(
                f"{name}: stage {stage.stage_sequence_number} is a {type(stage).__name__}, which is not written as "
                "SCML here; write StationXML and convert it with SeisComP's fdsnxml2inv"
            )
        return str(element.get("publicID"))

    def _element(self, kind: str, name: str) -> ET.Element:
        return ET.SubElement(self._parent, kind, publicID=f"{kind[:1].upper()}{kind[1:]}/{name}", name=name)


def is_only_gain(stage: Stage) -> bool:
    """Whether *stage* only multiplies."""
    parts = ("poles", "zeros", "numerator", "denominator", "coefficients", "response_list_elements")
    return not any(len(getattr(stage, part, None) or ()) > 0 for part in parts) and (stage.decimation_factor or 1) == 1


def _feeds_back(stage: Stage) -> bool:
    denominator = [float(each) for each in getattr(stage, "denominator", ())]
    return denominator not in ([], [1.0])


def _poles_zeros(element: ET.Element, stage: Stage) -> None:
    kinds = {"LAPLACE (RADIANS/SECOND)": "A", "LAPLACE (HERTZ)": "B", "DIGITAL (Z-TRANSFORM)": "D"}
    _texts(
        element,
        type=kinds[stage.pz_transfer_function_type],
        gain=stage.stage_gain,
        gainFrequency=stage.stage_gain_frequency,
        normalizationFactor=stage.normalization_factor,
        normalizationFrequency=stage.normalization_frequency,
        numberOfZeros=len(stage.zeros),
        numberOfPoles=len(stage.poles),
        zeros=" ".join(_complexes(stage.zeros)),
        poles=" ".join(_complexes(stage.poles)),
    )
    _decimation(element, stage)


def _complexes(values: Sequence[complex]) -> Iterator[str]:
    for value in values:
        yield f"({value.real!r},{value.imag!r})"


def _fir(element: ET.Element, stage: Stage, values: Any, symmetry: str) -> None:
    _texts(element, gain=stage.stage_gain, gainFrequency=stage.stage_gain_frequency)
    _decimation(element, stage)
    _texts(
        element,
        numberOfCoefficients=len(values),
        symmetry=symmetry,
        coefficients=" ".join(repr(float(each)) for each in values),
    )


def _decimation(element: ET.Element, stage: Stage) -> None:
    """Add how a digital stage decimates; delays are in samples of its input there."""
    rate_hz = stage.decimation_input_sample_rate
    if rate_hz:
        delay, correction = float(stage.decimation_delay or 0), float(stage.decimation_correction or 0)
        _texts(
            element,
            decimationFactor=stage.decimation_factor or 1,
            delay=delay * float(rate_hz),
            correction=correction * float(rate_hz),
        )


def _texts(parent: ET.Element, **values: object) -> None:
    """Add an element for each value that is there."""
    for name, value in values.items():
        if value not in (None, ""):
            # ObsPy's numbers are floats that carry their uncertainty, and print it.
            text = repr(float(value)) if isinstance(value, float) else str(value)
            ET.SubElement(parent, name).text = text


def _time(value: Any) -> str:
    return str(value.strftime("%Y-%m-%dT%H:%M:%S.0000Z"))
