"""Commands that a client has yet to send, in their order."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from rawdaq.protocols.seedlink.info.values import InfoItem
from rawdaq.protocols.seedlink.words import LINE_END, Word

#: Takes a reply, a line without its end.
LineHandler: TypeAlias = Callable[[bytes], None]


@dataclass(slots=True, eq=False)
class StationCommands:
    """How the commands fared that ask for one station.

    Attributes:
        station: which one.
        selectors: how many selectors the server has not refused.
        is_refused: whether the server does not have the station for us.
    """

    station: str
    selectors: int
    is_refused: bool = False

    def refuse(self, line: str) -> None:
        """Take note that the server refused *line*; without any selector it would send all streams."""
        self.selectors -= line.startswith(Word.SELECT)
        self.is_refused = self.is_refused or not (line.startswith(Word.SELECT) and self.selectors)


@dataclass(slots=True)
class Command:
    """A line to send.

    Attributes:
        line: the command.
        answers: what is to take each line of the reply, or what INFO asked for.
        of: the station that it asks for.
        is_last: it waits until everything before it is answered.
        on_sent: called when it is sent.
    """

    line: str
    answers: list[LineHandler | InfoItem] = field(default_factory=list[LineHandler | InfoItem])
    of: StationCommands | None = None
    is_last: bool = False
    on_sent: Callable[[], None] | None = None


class Commands:
    """Sends commands one by one, or all at once where the server can take that.

    Attributes:
        expected: what is to take what the server says next.
        is_pipelined: whether a command need not wait for the reply to the one before it.
        is_quiet: whether the server sends no replies (BATCH of version 3), except to INFO.
    """

    def __init__(self) -> None:
        self.expected: deque[LineHandler | InfoItem] = deque()
        self.is_pipelined = False
        self.is_quiet = False
        self._waiting: deque[Command] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent or answered."""
        return not self._waiting and not self.expected

    def add(self, commands: Iterable[Command]) -> None:
        """Queue *commands*."""
        self._waiting.extend(commands)

    def take(self) -> bytes:
        """Return the lines that may be sent now, once."""
        lines = bytearray()
        while self._waiting and self._may_send(self._waiting[0]):
            command = self._waiting.popleft()
            if command.of is not None and command.of.is_refused:
                continue  # of no use any more
            lines += command.line.encode() + LINE_END
            self.expected.extend(each for each in command.answers if isinstance(each, InfoItem) or not self.is_quiet)
            if command.on_sent is not None:
                command.on_sent()
        return bytes(lines)

    def _may_send(self, command: Command) -> bool:
        return not self.expected or (self.is_pipelined and not command.is_last)
