"""What a format of readouts has to say of the datagrams of its devices; other packages bring formats of their own.

::

    [project.entry-points."rawdaq.readout_formats"]
    my_format = "my_package.my_module:MyFormat"
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.errors import InvalidValue, RemoteProtocolError

#: A device counts its time in at most 63 bits of nanoseconds; more cannot be stored.
MAX_TIME_NS = (1 << 63) - 1


class DatagramRefused(RemoteProtocolError):
    """A datagram is not what its format says, so nothing of it counts.

    Args:
        reason: a few words by which it is counted.
        detail: what is wrong with this one.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


class Section(NamedTuple):
    """What a datagram says of one instant.

    Attributes:
        time_ns: the device's time, of any origin.
        data: one row, as bytes of `Row.dtype`.
        number: which of the rows of its sender it is, or, with ``slots: {by: field}``, which sender it comes from.
    """

    time_ns: int
    data: bytes
    number: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """What one sender measures at one instant.

    Attributes:
        dtype: type and byte order of its values.
        shape: ``(channels,)`` or ``(channels, samples)``.
        unit: of scaled values; empty: none.
        scale: a scaled value is (value - zero) x scale.
        zero: the value that means 0.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    unit: str = ""
    scale: float = 1.0
    zero: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * int(np.prod(self.shape))

    def scaled(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return *values* in `unit`."""
        return (values.astype(np.float64) - self.zero) * self.scale


class ReadoutFormat(ABC):
    """A format of datagrams. Its constructor's arguments are what a station file may say beside its name.

    Attributes:
        row: what one sender measures at one instant; known once a datagram was read.
        numbers: how many rows a sender has.
        says_sender: `Section.number` may be the sender, as ``slots: {by: field}`` asks for.
    """

    row: Row
    numbers: int = 1
    says_sender: bool = False

    @abstractmethod
    def sections(self, datagram: bytes) -> Sequence[Section]:
        """Return what a datagram holds.

        Raises:
            DatagramRefused: it is not of this format.
        """

    def length(self, data: memoryview) -> int | None:
        """Return the length of the message that *data* begin with, where messages come without a frame, as by TCP.

        Returns:
            The length in bytes, or None when it takes more data to say.

        Raises:
            DatagramRefused: *data* are not of this format, or it has no lengths.
        """
        raise DatagramRefused(
            "no length", "messages of this format do not say where they end, so TCP cannot carry them"
        )

    def datagram(self, sections: Sequence[Section]) -> bytes:
        """Return the datagram that holds *sections*, as `Simulator` sends it; by default a format is only read.

        Raises:
            InvalidValue: this format cannot be written, or not these sections.
        """
        raise InvalidValue(f"{type(self).__name__} can be read, but not be written, so it cannot be simulated")
