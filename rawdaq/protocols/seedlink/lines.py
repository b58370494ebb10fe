"""Lines out of bytes: commands for a server, replies for a client; each holds one incomplete line."""

import re
from typing import NamedTuple

from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink.errors import CommandTooLong, ReplyWrong

#: The specification says 255, but a token of AUTH has up to about 1000.
MAX_COMMAND_BYTES = 2048
#: A client that sends so much without a line end is no SeedLink client.
MAX_COMMAND_FLOOD_BYTES = 16_384
#: The longest replies are the lines of HELLO, which people write.
MAX_REPLY_BYTES = 4096

_END = re.compile(rb"[\r\n]")


class CommandLine(NamedTuple):
    """A command.

    Attributes:
        text: the line without its end, at most `MAX_COMMAND_BYTES` of it.
        is_whole: False when it was longer.
    """

    text: bytes
    is_whole: bool


class CommandReader:
    """Cuts what a client sends into lines, which end with CR LF, CR or LF; empty lines are left out."""

    def __init__(self) -> None:
        self.held = bytearray()
        self._size_bytes = 0

    def take(self, chunk: bytes, start: int) -> tuple[CommandLine | None, int]:
        """Return the next line of *chunk* from *start* on, None when it is not all here, and where the rest begins.

        Raises:
            CommandTooLong: there is no line end for much too long.
        """
        while True:
            match = _END.search(chunk, start)
            end = match.start() if match else len(chunk)
            self._hold(chunk, start, end)
            if match is None:
                return None, end
            start = end + 1
            if self._size_bytes:
                line = CommandLine(bytes(self.held), self._size_bytes <= MAX_COMMAND_BYTES)
                self.held.clear()
                self._size_bytes = 0
                return line, start

    def _hold(self, chunk: bytes, start: int, end: int) -> None:
        self._size_bytes += end - start
        self.held += chunk[start : min(end, start + MAX_COMMAND_BYTES - len(self.held))]
        if self._size_bytes > MAX_COMMAND_FLOOD_BYTES:
            raise CommandTooLong(MAX_COMMAND_FLOOD_BYTES, elided(self.held))


def find_reply(data: bytes | bytearray, start: int) -> int | None:
    """Return where the reply that begins at *start* of *data* ends, CR LF excluded, or None when it is not all here.

    Only CR LF ends it: a lone CR separates ERROR from its reason in version 3.

    Raises:
        ReplyWrong: there is no end within the limit.
    """
    end = data.find(b"\r\n", start, start + MAX_REPLY_BYTES)
    if end < 0 and len(data) - start >= MAX_REPLY_BYTES:
        raise ReplyWrong(elided(data[start : start + MAX_REPLY_BYTES]), "a line")
    return end if end >= 0 else None
