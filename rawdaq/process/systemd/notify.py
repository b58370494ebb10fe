"""Messages to the manager that started this process, over the socket that it names; see sd_notify(3).

Without such a manager all of it does nothing.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

_LOG = logging.getLogger("rawdaq.systemd")

_MAX_STATUS = 400  # characters: what `systemctl status` shows in a line or two
_FEEDS = 3  # of the watchdog, within the time after which it bites
_STATUS_S = 5.0


class Notifier:
    """Reports the state of a service to its manager.

    Args:
        address: its socket: a path, or ``@NAME`` in the abstract namespace; None: there is no manager.
        watchdog_s: a process that is silent for so long is taken for dead; None: it is not watched.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self.address, self.watchdog_s = address, watchdog_s
        self._has_failed = False
        self._status = ""

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """Return that of this process, and take its variables away: they are not meant for children."""
        address = environment.pop("NOTIFY_SOCKET", None) or None
        pid, microseconds = environment.pop("WATCHDOG_PID", ""), environment.pop("WATCHDOG_USEC", "")
        is_meant = pid in ("", str(os.getpid())) and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if is_meant and address else None)

    def ready(self) -> None:
        """Report that the start, or a reload, is over."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Report what it does, in one line; the same text is sent once."""
        line = " ".join(text.split())[:_MAX_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def reloading(self) -> None:
        """Report that its configuration is being read again; `ready` ends that."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that it stops."""
        self._send("STOPPING=1")

    def feed(self) -> None:
        """Report to the watchdog that it is alive."""
        self._send("WATCHDOG=1")

    async def run(self, status: Callable[[], str]) -> None:
        """Feed the watchdog and report *status* now and then, until cancelled.

        It runs in the event loop: when the loop does not turn any more, the watchdog is not fed, and the process is
        started again.
        """
        if self.address is None:
            return
        interval_s = min(_STATUS_S, (self.watchdog_s or _STATUS_S * _FEEDS) / _FEEDS)
        while True:
            if self.watchdog_s is not None:
                self.feed()
            self.status(status())
            await asyncio.sleep(interval_s)

    def _send(self, message: str) -> None:
        if self.address is None:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.setblocking(False)  # a manager that is busy must not hold the data up
                connection.connect(address)
                connection.sendall(message.encode())
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                _LOG.warning("systemd does not take reports: %s: %s", self.address, error.strerror or error)
