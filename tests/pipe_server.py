"""A SeedLink server's end of a plugin pipe, written from the pipe's description alone: nothing of ours in it."""

import fcntl
import os
import struct
import termios
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

HEADER_BYTES = 60
RAW_TIME, RAW, GAP, FLUSH, LOG, MSEED = range(8, 14)


class Frame(NamedTuple):
    """One frame; *time* is year, day of year, hour, minute, second, microsecond."""

    kind: int
    station: str
    channel: str
    time: tuple[int, ...]
    correction: int
    quality: int
    size: int
    payload: bytes

    @property
    def samples(self) -> list[int]:
        """The payload as int32."""
        values: list[int] = np.frombuffer(self.payload, "=i4").tolist()
        return values


def take(data: bytes) -> tuple[list[Frame], bytes]:
    """Return the whole frames at the start of *data*, and what remains."""
    frames: list[Frame] = []
    while len(data) >= HEADER_BYTES:
        kind, size = *struct.unpack_from("=i", data, 0), *struct.unpack_from("=i", data, 56)
        assert kind in range(8, 14), f"no frame begins here: {data[:80]!r}"
        end = HEADER_BYTES + {RAW_TIME: 4 * size, RAW: 4 * size, LOG: size, MSEED: size}.get(kind, 0)
        if len(data) < end:
            break
        times = struct.unpack_from("=6i", data, 24)
        correction, quality = struct.unpack_from("=ii", data, 48)
        station, channel = (data[first : first + 10].rstrip(b"\0").decode() for first in (4, 14))
        frames.append(Frame(kind, station, channel, times, correction, quality, size, data[HEADER_BYTES:end]))
        data = data[end:]
    return frames, data


def whole(data: bytes) -> list[Frame]:
    """Return the frames of *data*, which ends with one."""
    frames, rest = take(data)
    assert rest == b""
    return frames


class PipeServer:
    """Both ends of a pipe: `fd` is the plugin's, inherited as a server hands it on."""

    def __init__(self) -> None:
        self._read_fd, self.fd = os.pipe()
        os.set_inheritable(self.fd, True)
        os.set_blocking(self._read_fd, False)
        self._held = b""
        self.frames: list[Frame] = []

    @property
    def waiting_bytes(self) -> int:
        """How much is in the pipe."""
        return int.from_bytes(fcntl.ioctl(self._read_fd, termios.FIONREAD, b"\0" * 4), "little")

    def read(self) -> list[Frame]:
        """Read all that is there; return all frames so far."""
        while True:
            try:
                data = os.read(self._read_fd, 50_000)
            except BlockingIOError:
                break
            if not data:
                break
            frames, self._held = take(self._held + data)
            self.frames += frames
        return self.frames

    def read_to_end(self) -> list[Frame]:
        """Let go of the plugin's end and read the rest, which must be whole frames."""
        self.close_plugin_end()
        self.read()
        assert self._held == b""
        return self.frames

    def close_plugin_end(self) -> None:
        """Close the plugin's end, as far as it is held here."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def stop(self) -> None:
        """Close the server's end."""
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both ends."""
        self.close_plugin_end()
        self.stop()
