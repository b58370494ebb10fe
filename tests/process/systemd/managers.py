"""The socket of a service manager, as a process is given it in ``$NOTIFY_SOCKET``."""

import contextlib
import select
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path

from tests.helpers import DEADLINE_S


class Manager:
    """What a manager hears.

    Args:
        address: where it listens: a path, or ``@NAME`` in the abstract namespace.

    Attributes:
        address: as the argument.
        heard: every assignment so far.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Hear nothing any more."""
        self._socket.close()

    def take(self) -> list[str]:
        """Return the assignments that have arrived since the last call, without waiting."""
        found: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found += self._socket.recv(4096).decode().splitlines()
        self.heard += found
        return found

    def wait_for(self, text: str) -> str:
        """Return the first assignment that begins with *text*, when it has arrived."""
        while not (found := [each for each in self.heard if each.startswith(text)]):
            ready, _, _ = select.select([self._socket], [], [], DEADLINE_S)
            assert ready, f"{text} did not come; heard: {self.heard}"
            self.take()
        return found[0]


@contextlib.contextmanager
def manager(*, is_abstract: bool = False) -> Generator[Manager]:
    """Listen at a short path, or in the abstract namespace."""
    with tempfile.TemporaryDirectory(prefix="rd-", dir="/tmp") as folder:
        made = Manager(f"@{Path(folder).name}" if is_abstract else f"{folder}/notify")
        try:
            yield made
        finally:
            made.close()
