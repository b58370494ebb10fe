"""From readouts to messages: the values that a station file asks for, and the header that says what they are."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Message
from rawdaq.streams.assembly.readout_format import ReadoutFormat
from rawdaq.streams.assembly.values import Readout

Values = Literal["scaled", "raw", "float64"]


def check_values(values: Values, sparse: bool, chosen: ReadoutFormat) -> None:
    """Refuse full arrays of a type that has no NaN.

    Raises:
        InvalidValue: it is one.
    """
    if values == "raw" and not sparse and chosen.row.dtype.kind != "f":
        text = f"the device's {chosen.row.dtype.name} has no NaN for absent rows: use sparse: true, or scaled values"
        raise InvalidValue(f"sparse: false needs floating-point values; {text}")


def readout_header(readout: Readout, dtype: np.dtype[Any], shape: Sequence[int], expected: int) -> dict[str, Any]:
    """Return what the headers of all readouts have, which are also those of ``array-1.0``."""
    return {
        "htype": "array-1.0",
        "type": dtype.name,
        "shape": list(shape),
        "encoding": "little",
        "number": readout.number,
        "epoch": readout.epoch,
        "time_ns": readout.time_ns,
        "received_ns": readout.received_ns,
        "slots": list(readout.slots),
        "expected": expected,
        "reason": readout.reason.value,
    }


class Output:
    """Makes messages of readouts.

    Args:
        topic: of the messages.
        chosen: the format.
        values: what the array holds.
        sparse: it has rows of present slots only.
        slots: how many rows there are in all.
        expected: how many of them have senders.
    """

    def __init__(
        self, topic: str, chosen: ReadoutFormat, values: Values, *, sparse: bool, slots: int, expected: int
    ) -> None:
        self._topic, self._format, self._values = topic, chosen, values
        self._sparse, self._slots, self._expected = sparse, slots, expected

    def array(self, readout: Readout) -> npt.NDArray[Any]:
        """Return the values of the present rows, as the device has them: [rows, channels(, samples)]."""
        row = self._format.row
        return np.frombuffer(b"".join(readout.rows), row.dtype).reshape(len(readout.rows), *row.shape)

    def scaled(self, readout: Readout) -> npt.NDArray[Any]:
        """Return the values of the present rows as they are published, little-endian."""
        values, kind = self.array(readout), self._values
        if kind == "raw":
            return values.astype(values.dtype.newbyteorder("<"), copy=False)
        return self._format.row.scaled(values).astype("<f4" if kind == "scaled" else "<f8", copy=False)

    def message(self, readout: Readout) -> Message:
        """Return a readout as a message; its header is also that of ``array-1.0``."""
        values, row = self.scaled(readout), self._format.row
        if not self._sparse:
            full = np.full((self._slots, *row.shape), np.nan, values.dtype)
            full[list(readout.slots)] = values
            values = full
        is_raw = self._values == "raw"
        header = readout_header(readout, values.dtype, values.shape, self._expected) | {
            "unit": row.unit,
            "scale": row.scale if is_raw else 1,
            "offset": -row.zero * row.scale if is_raw else 0,
        }
        if readout.late:
            header["late"] = True
        return Message(self._topic, header, values.tobytes())
