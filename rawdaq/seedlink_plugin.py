"""Makes a Python program a plugin of SeisComP's SeedLink server; needs numpy and nothing else.

::

    with SeedLinkPlugin() as plugin:
        while True:
            when, samples = my_digitizer.read()
            plugin.send_raw("XX.DEMO", "HHZ", when, samples, timing_quality=100)
"""

import contextlib
import fcntl
import os
import select
import stat
import time
from collections.abc import Callable
from datetime import datetime
from typing import Self

import numpy as np
import numpy.typing as npt

from rawdaq.errors import ComponentError, LocalProtocolError
from rawdaq.protocols.plugin_pipe.writer import PipeWriter
from rawdaq.times import from_datetime

__all__ = ["PLUGIN_FD", "PipeClosed", "SeedLinkPlugin", "check_descriptor"]

#: The descriptor of the pipe to the SeedLink server, in every plugin.
PLUGIN_FD = 63


class PipeClosed(ComponentError):
    """The server has closed its end of the pipe: end the program with a non-zero status, and it is started again.

    Args:
        where: the descriptor or the path.
    """

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"the SeedLink server has closed the pipe ({self.where}); it starts its plugins again by itself"


def check_descriptor(fd: int) -> None:
    """Check that frames can be written to the descriptor *fd*.

    Raises:
        ComponentError: they cannot be written; the text names the cause and the remedy.
    """
    remedy = f"let seedlink start this program, or for a test: rawdaq-plugin … {fd}> FILE"
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        raise ComponentError(f"descriptor {fd} is not open; {remedy}") from None
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
        raise ComponentError(f"descriptor {fd} is neither a pipe nor a file; {remedy}")
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise ComponentError(f"descriptor {fd} is open for reading only; {remedy}")


class SeedLinkPlugin:
    """Writes samples, records and log lines to the SeedLink server that started this program.

    Every call returns when all of it is in the server's pipe, so when the server has read enough of what came before.
    The server always gets whole frames, also when the program is killed, and threads may share a plugin.

    Samples (`send_raw`, `send_gap`, `send_flush`) need a stream processor (``proc``) in the server's configuration;
    records (`send_mseed`) need nothing.

    Args:
        fd: the descriptor of the pipe.
        clock: nanoseconds since 1970, for log lines.
    """

    def __init__(self, fd: int = PLUGIN_FD, clock: Callable[[], int] = time.time_ns) -> None:
        self._fd = fd
        self._clock = clock
        self._is_closed = False

    def __enter__(self) -> Self:
        """Check that there is a pipe.

        Raises:
            ComponentError: there is no pipe, because no server has started this program.
        """
        check_descriptor(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the pipe, which for the server is the end of the program. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(OSError):
                os.close(self._fd)

    def send_raw(
        self,
        station: str,
        channel: str,
        start: datetime | int,
        samples: npt.ArrayLike,
        timing_quality: int | None = None,
        rate_hz: float | None = None,
    ) -> None:
        """Send any number of integer samples for the server to filter and to encode.

        Args:
            station: the server's key of the station, ``NET.STA`` in SeisComP.
            channel: the name of the input in the server's stream processor.
            start: time of the first sample: a datetime (UTC when naive), or nanoseconds since 1970.
            samples: integers of 32 bits.
            timing_quality: 0 to 100 percent, None when unknown.
            rate_hz: when given, each thousand of samples has its own time; otherwise the server computes the times
                within this call from its own sampling rate.

        Raises:
            LocalProtocolError: a value does not fit the pipe's format; nothing was sent.
            PipeClosed: the server is gone.
        """
        start_ns = from_datetime(start) if isinstance(start, datetime) else start
        try:
            array = np.asarray(samples)
        except ValueError as error:  # lists of different lengths in a list
            raise LocalProtocolError(f"samples are not an array: {error}") from error
        self._send(lambda pipe: pipe.send_samples(station, channel, start_ns, array, timing_quality, rate_hz))

    def send_gap(self, station: str, channel: str, missing_samples: int) -> None:
        """Send the number of samples that are missing after those that were sent.

        Raises:
            LocalProtocolError: a value does not fit the pipe's format.
            PipeClosed: the server is gone.
        """
        self._send(lambda pipe: pipe.send_gap(station, channel, missing_samples))

    def send_flush(self, station: str, channel: str) -> None:
        """Make the server send out the record of this channel that is not full yet.

        Raises:
            LocalProtocolError: a value does not fit the pipe's format.
            PipeClosed: the server is gone.
        """
        self._send(lambda pipe: pipe.send_flush(station, channel))

    def send_mseed(self, record: bytes, station: str | None = None) -> None:
        """Send a miniSEED 2 record of 512 bytes.

        Args:
            record: the record.
            station: the server's key of the station; by default ``NET.STA`` as the record says.

        Raises:
            LocalProtocolError: it is not such a record, or the station does not fit.
            PipeClosed: the server is gone.
        """
        if record[6:7] not in (b"D", b"R", b"Q", b"M"):
            raise LocalProtocolError("this is not a miniSEED 2 record")
        network, code = (field.decode("ascii", "replace").strip() for field in (record[18:20], record[8:13]))
        key = f"{network}.{code}" if station is None else station
        self._send(lambda pipe: pipe.send_mseed(key, record))

    def send_log(self, station: str, text: str) -> None:
        """Send *text* to the station's log in the server.

        Raises:
            LocalProtocolError: the station does not fit.
            PipeClosed: the server is gone.
        """
        self._send(lambda pipe: pipe.send_log(station, self._clock(), text))

    def _send(self, send: Callable[[PipeWriter], None]) -> None:
        """Write what *send* gives to a writer."""
        writer = PipeWriter()
        send(writer)
        if self._is_closed:
            raise ComponentError("this plugin is closed")
        for data, _ in writer.writes_to_send():
            rest = memoryview(data)
            while rest:
                rest = rest[self._write_some(rest) :]

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:  # the program has made the pipe non-blocking
            waiting = select.poll()
            waiting.register(self._fd, select.POLLOUT)
            waiting.poll()
            return 0
        except BrokenPipeError:
            raise PipeClosed(f"descriptor {self._fd}") from None
        except OSError as error:
            raise ComponentError(f"cannot write to descriptor {self._fd}: {error.strerror}") from error
