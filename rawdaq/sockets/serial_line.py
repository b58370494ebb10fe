"""A serial line that is read, and opened again whenever it went away: an unplugged adapter, a restarted device."""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

from rawdaq.errors import ComponentError
from rawdaq.outage import Outage
from rawdaq.sockets.endpoint import Endpoint

_READ_BYTES = 65_536
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_REMIND_S = 600.0


class SerialEndpoint(Endpoint):
    """Reads a serial line.

    Args:
        device: its path.
        baud: its speed.
        take: gets what was read.
        log: where openings and failures are logged, one line for an outage.

    Attributes:
        bytes: how many were read.
        openings: how many times the line was opened.
        last_failure: why it could not be opened or read; None: nothing of the kind.
    """

    def __init__(self, device: str, baud: int, take: Callable[[Endpoint, bytes], None], log: logging.Logger) -> None:
        super().__init__(device, 0)
        self.bytes = 0
        self.openings = 0
        self.last_failure: str | None = None
        self._baud = baud
        self._take = take
        self._log = log
        self._line: Any = None
        self._failed = asyncio.Event()
        self._outage = Outage(log, _REMIND_S)

    @property
    def address(self) -> str:
        """The path of the device."""
        return self.host

    async def open(self) -> None:
        """Load the library; the device may come later.

        Raises:
            ComponentError: the library is not installed.
        """
        _serial()

    async def run(self) -> None:
        """Read the line, and open it again whenever that fails."""
        pause_s = _FIRST_PAUSE_S
        while True:
            if await self._begin():
                pause_s = _FIRST_PAUSE_S
                await self._failed.wait()
            self._end()
            if not self._outage.is_on or self._outage.is_due:
                self._outage.log("serial line %s: %s; it is opened again when it is there", self.host, self._why)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    @property
    def _why(self) -> str:
        return self.last_failure or "it ended"

    async def _begin(self) -> bool:
        """Open the line; return whether that was possible."""
        serial = _serial()
        self._failed.clear()
        try:
            line = serial.Serial(None, self._baud, timeout=0, exclusive=True)
            line.port = self.host
            await asyncio.to_thread(line.open)
        # SerialException is an OSError; a speed that the device does not have is a ValueError.
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            self.last_failure = os.strerror(number) if number else str(error)
            return False
        self._line = line
        self.openings += 1
        self.last_failure = None
        if self._outage.is_on:
            self._log.warning("serial line %s is there again after %.1f s", self.host, self._outage.elapsed_s)
            self._outage.clear()
        else:
            self._log.info("reading serial line %s at %d baud", self.host, self._baud)
        self._apply_holds()
        return True

    def _end(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            asyncio.get_running_loop().remove_reader(line.fileno())
            line.close()

    def _apply_holds(self) -> None:
        if self._line is not None:
            loop = asyncio.get_running_loop()
            if self._holds:
                loop.remove_reader(self._line.fileno())
            else:
                loop.add_reader(self._line.fileno(), self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._line.fileno(), _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            chunk, self.last_failure = b"", error.strerror
        if chunk:
            self.bytes += len(chunk)
            self._take(self, chunk)
        else:
            self.last_failure = self.last_failure or "the device is gone"
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._failed.set()

    async def aclose(self) -> None:
        """Close the line; may be called twice."""
        self._end()

    def status(self) -> dict[str, object]:
        """Return what `status` shows of this endpoint."""
        return super().status() | {
            "connected": self._line is not None,
            "bytes": self.bytes,
            "openings": self.openings,
            "last_failure": self.last_failure,
        }


def _serial() -> Any:
    try:
        import serial
    except ImportError as error:
        raise ComponentError("serial lines need pyserial; install it: pip install 'rawdaq[serial]'") from error
    return serial
