"""The slow signal of a telescope camera: 32 modules, each with 64 channels of slow digitizers, 10 times a second.

A datagram is one or several sub-readouts of 144 bytes, big-endian: u64 time of the instrument in ns, 32 x u16 of the
channels 0 to 31, a second u64 time, 32 x u16 of the channels 32 to 63. A value in mV is (code XOR 0x8000) x 0.0763. The
module is said by the last byte of its address alone: ``slots: {by: octet, first: 100, count: 32}``.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Kind, Message
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.streams.assembly.readout_format import DatagramRefused, ReadoutFormat, Row, Section

SUB_READOUT_BYTES = 144
MODULES, CHANNELS = 32, 64
MV = 0.0763

#: Readout number, time of the instrument, the computer's time in seconds and nanoseconds; then 32 x 64 float64 in mV.
_READOUT = struct.Struct("<QQQQ")
_MAX_SECTIONS = 455  # what a datagram of 65 535 bytes can hold
_SUB_READOUT_DATA_BYTES = 2 * CHANNELS
_NS = 1_000_000_000


class SlowSignal(ReadoutFormat):
    """Datagrams of one or several sub-readouts, each of which is a part of its own."""

    # XOR 0x8000 makes of a code, read as i16, the same plus 0x8000.
    row = Row(np.dtype(">i2"), (CHANNELS,), "mV", MV, -0x8000)

    def sections(self, datagram: bytes) -> Sequence[Section]:
        """Return the sub-readouts of a datagram.

        Raises:
            DatagramRefused: its length is not a multiple of 144 bytes.
        """
        size = len(datagram)
        if not size or size % SUB_READOUT_BYTES or size > _MAX_SECTIONS * SUB_READOUT_BYTES:
            raise DatagramRefused("wrong length", f"{size} bytes are no multiple of {SUB_READOUT_BYTES}")
        return [
            Section(
                int.from_bytes(datagram[at : at + 8], "big"),
                datagram[at + 8 : at + 72] + datagram[at + 80 : at + SUB_READOUT_BYTES],
            )
            for at in range(0, size, SUB_READOUT_BYTES)
        ]

    def length(self, data: memoryview) -> int | None:
        """Return the length of a sub-readout: by TCP each is a message."""
        return SUB_READOUT_BYTES

    def datagram(self, sections: Sequence[Section]) -> bytes:
        """Return the datagram of some sub-readouts, as `Simulator` sends it.

        Raises:
            InvalidValue: there are none or too many, or a time or a row cannot be.
        """
        if not 0 < len(sections) <= _MAX_SECTIONS:
            raise InvalidValue(f"{len(sections)} sub-readouts in a datagram; 1 to {_MAX_SECTIONS} are possible")
        return b"".join(map(_sub_readout, sections))


def _sub_readout(section: Section) -> bytes:
    if not 0 <= section.time_ns < 1 << 64 or len(section.data) != _SUB_READOUT_DATA_BYTES:
        raise InvalidValue(f"a sub-readout at {section.time_ns} ns with {len(section.data)} bytes cannot be written")
    time = section.time_ns.to_bytes(8, "big")
    half = _SUB_READOUT_DATA_BYTES // 2
    return time + section.data[:half] + time + section.data[half:]


def encode_readout(message: Message) -> bytes:
    """Return a readout in 16 416 bytes, as the programs of the camera know it; absent modules are NaN.

    Raises:
        ValueError: it has other channels, or more modules.
    """
    header: Any = message.header
    dtype = np.dtype(header["type"]).newbyteorder("<")
    found = np.frombuffer(message.payload, dtype).reshape(header["shape"]) * header["scale"] + header["offset"]
    values = np.full((MODULES, CHANNELS), np.nan, "<f8")
    if len(found) == len(header["slots"]):
        values[header["slots"]] = found
    else:  # all rows are there, absent ones NaN
        values[:] = found
    seconds, ns = divmod(header["received_ns"], _NS)
    return _READOUT.pack(header["number"], header["time_ns"], seconds, ns) + values.tobytes()


class SlowSignalPublisher(ZMQTCPPublisher):
    """Sends readouts as 16 416 bytes without a topic, for programs that read the camera's own receiver.

    Args:
        ip: the address that subscribers connect to.
        port: the port.
        name: its key in the station file.
        logger: where it logs.
        mode: as of `ZMQTCPPublisher`.
        high_water_mb: megabytes that may wait for a subscriber.
        max_subscribers: how many may be connected at once.
    """

    takes_messages = True

    async def deliver(self, batch: Sequence[Any]) -> None:
        """Send the readouts of *batch*; others are passed over."""
        await super().deliver(_encoded(batch))

    def try_deliver(self, batch: Sequence[Any]) -> bool:
        """Send the readouts of *batch* at once, if that is possible."""
        return super().try_deliver(_encoded(batch))


def _encoded(batch: Sequence[Any]) -> list[bytes]:
    return [encode_readout(each) for each in batch if isinstance(each, Message) and each.kind is Kind.READOUT]
