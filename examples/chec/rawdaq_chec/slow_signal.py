"""Slow signals of the camera's modules, as a format of rawdaq's `ReadoutAssembler`."""

from collections.abc import Sequence

import numpy as np

from rawdaq.streams.assembly.readout_format import MAX_TIME_NS, DatagramRefused, ReadoutFormat, Row, Section

CHANNELS = 64
SECTION_BYTES = 144
#: Millivolts of one step of the converter.
MV_PER_STEP = 0.0763

_SIGN = np.uint16(0x8000)  # the converter counts from the middle of its range, and around its end
_SECTION = np.dtype([("tack", ">u8"), ("first", ">u2", 32), ("second_time", ">u8"), ("last", ">u2", 32)])


class SlowSignal(ReadoutFormat):
    """A datagram has one sub-readout or several of 144 bytes: a time in nanoseconds, and 64 channels in two halves.

    Raw values are steps above zero, the converter's code with its highest bit turned: 0x8000 is 0, 0x7FFF 65535.
    """

    row = Row(np.dtype("<u2"), (CHANNELS,), "mV", MV_PER_STEP)

    def sections(self, datagram: bytes) -> Sequence[Section]:
        """Return the sub-readouts of a datagram.

        Raises:
            DatagramRefused: its size is that of none, or a time has more than 63 bits.
        """
        if not datagram or len(datagram) % SECTION_BYTES:
            wanted = f"datagram of {len(datagram)} bytes, not a multiple of {SECTION_BYTES}"
            raise DatagramRefused("wrong size", wanted)
        found = np.frombuffer(datagram, _SECTION)
        newest = int(found["tack"].max())
        if newest > MAX_TIME_NS:
            raise DatagramRefused("time too large", f"time of {newest} ns has more than 63 bits")
        codes = np.concatenate([found["first"], found["last"]], axis=1)
        steps = (codes ^ _SIGN).astype(self.row.dtype)
        return [Section(int(tack), row.tobytes()) for tack, row in zip(found["tack"], steps, strict=True)]


def encode(sections: Sequence[tuple[int, Sequence[int]]]) -> bytes:
    """Return a datagram of times and the converter's codes of 64 channels each."""
    made = np.zeros(len(sections), _SECTION)
    for index, (tack, codes) in enumerate(sections):
        made[index] = (tack, codes[:32], tack, codes[32:])
    return made.tobytes()
