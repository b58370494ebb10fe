"""The least that asyncio needs to bring packets into the plugin pipe: ``python -m benchmarks.programs.bare_loop``.

The arguments are a load, the port of a device and the descriptor of the pipe. It connects, asks for the channels,
parses each packet and makes a STEIM2 record of it: nothing is checked, kept or counted. The records of packets that
come together are written together. Our compiled encoder makes them, or pymseed where it is missing. A packet of up to
100 samples fits one record whatever they are.
"""

import asyncio
import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pymseed

from benchmarks.loads import NETWORK, STATION, Load, hello
from rawdaq.native import steim2

#: What makes the records.
ENCODER = "steim2.c" if steim2 else "pymseed"

_RECORD_BYTES, _RECORD_HEADER_BYTES = 512, 64
_PACKET_HEADER = struct.Struct(">HHBBBIBHI")
_FRAME_HEADER = struct.pack("=i10s10s6i3i", 13, f"{NETWORK}.{STATION}".encode(), b"", *[0] * 8, _RECORD_BYTES)
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_ODD_NS = 37_000  # a time for which libmseed writes blockette 1001, which our encoder fills in
_BUFFER_BYTES = 1 << 16

#: Returns the frame of a packet: time of its first sample, quality, samples.
Encode = Callable[[int, int, bytes], bytes]


def with_pymseed(code: str, rate_hz: int) -> Encode:
    """Return what makes the frames of a channel with pymseed."""
    location, channel = code.split(".")
    record = pymseed.MS3Record()
    record.sourceid = f"FDSN:{NETWORK}_{STATION}_{location}_{'_'.join(channel)}"
    record.formatversion, record.reclen, record.samprate = 2, _RECORD_BYTES, float(rate_hz)
    record.encoding = pymseed.DataEncoding.STEIM2

    def encode(start_ns: int, quality: int, samples: bytes) -> bytes:
        record.starttime = start_ns
        return _FRAME_HEADER + b"".join(record.generate(np.frombuffer(samples, "<i4"), "i"))

    return encode


def with_steim2(code: str, rate_hz: int) -> Encode:
    """Return what makes the frames of a channel with our compiled encoder."""
    frame = bytearray(with_pymseed(code, rate_hz)(_ODD_NS, 100, bytes(4)))
    record = memoryview(frame)[len(_FRAME_HEADER) :]
    header = bytes(record[:_RECORD_HEADER_BYTES])
    number = 0

    def encode(start_ns: int, quality: int, samples: bytes) -> bytes:
        nonlocal number
        number = number % 999_999 + 1
        counts, _ = steim2.encode(samples, record, _RECORD_BYTES, _RECORD_HEADER_BYTES, True)
        steim2.stamp(record, _RECORD_BYTES, header, number, quality, [start_ns], counts)
        return bytes(frame)

    return encode


class BareLoop(asyncio.BufferedProtocol):
    """One connection to the device.

    It has a buffer of its own. Otherwise asyncio allocates 256 KB for every read, and the heap's layout decides whether
    each costs page faults: 15 microseconds a packet, or none.
    """

    def __init__(self, load: Load, fd: int) -> None:
        encoder = with_steim2 if steim2 else with_pymseed
        self._encoders = {number: encoder(code, load.rate_hz) for number, code in load.codes.items()}
        self._hello = hello(load)
        self._fd = fd
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._held = b""
        self._has_started = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for all channels; called by asyncio."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(self._hello)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to; called by asyncio."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Write what has come; called by asyncio."""
        data = self._held + self._buffer[:nbytes]
        if not self._has_started:
            self._has_started = data.endswith(b"STARTING\n")  # packets come later than the answer
            self._held = b"" if self._has_started else data
            return
        unpack, begin, size_bytes, frames = _PACKET_HEADER.unpack_from, 0, len(data), []
        while size_bytes - begin >= _PACKET_HEADER.size:
            year, day, hour, minute, second, microsecond, quality, channel, count = unpack(data, begin)
            first = begin + _PACKET_HEADER.size
            end = first + 4 * count
            if end > size_bytes:
                break
            moment = datetime(year, 1, 1, hour, minute, second, microsecond, UTC) + timedelta(days=day - 1)
            start_ns = (moment - _EPOCH) // _MICROSECOND * 1000
            frames.append(self._encoders[channel](start_ns, quality, data[first:end]))
            begin = end
        self._held = data[begin:]
        os.write(self._fd, b"".join(frames))


async def run(load: Load, port: int, fd: int) -> None:
    """Run until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await loop.create_connection(lambda: BareLoop(load, fd), "127.0.0.1", port)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(run(Load(**json.loads(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])))
