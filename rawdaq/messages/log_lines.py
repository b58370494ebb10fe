"""Log records by TCP: one JSON object a line; what is no record is refused with its reason, and the next line is read.

Nothing here waits or reads: bytes go in, records and refusals come out.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rawdaq.messages.log import LogRecord
from rawdaq.protocols.json_header import read_header
from rawdaq.protocols.message_errors import MessageMalformed

#: What one line may have: bounds what a peer can make us hold.
MAX_LINE_BYTES: Final = 1 << 16
#: What a sender of pickles reads.
NOT_PICKLE: Final = "rawdaq takes one JSON object a line, not pickles: use rawdaq.log.SocketLogHandler(host, port)"

_PICKLE_LENGTH_BYTES: Final = 4
#: The first byte of a pickle of protocol 1, or of a later one, after its length, as `SocketHandler` sends it.
_PICKLE: Final = b"}\x80"


class Refused(NamedTuple):
    """Something that is no record.

    Attributes:
        reason: a few words, by which such are counted.
        detail: what is wrong with it.
        is_last: whether the connection is of no use any more.
    """

    reason: str
    detail: str
    is_last: bool = False


class LogLines:
    """Reads the records that come on one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer that hold no line end
        self._is_skipping = False  # up to the end of a line that is too long
        self._has_begun = False
        self._is_over = False

    def receive_data(self, data: bytes, now_ns: int) -> Iterator[LogRecord | Refused]:
        """Yield what *data* completes.

        Args:
            data: what came next.
            now_ns: the time of records that have none.
        """
        if self._is_over:
            return
        self._buffer += data
        if not self._has_begun:
            if self._is_pickle():
                self._is_over = True
                self._buffer.clear()
                yield Refused("a pickle", NOT_PICKLE, is_last=True)
                return
            if len(self._buffer) <= _PICKLE_LENGTH_BYTES and self._buffer.startswith(b"\0"):
                return  # more will say what it is
            self._has_begun = True
        while (line := self._line()) is not None:
            if isinstance(line, Refused):
                yield line
            elif line.strip():
                yield _record(line, now_ns)

    def receive_eof(self) -> Iterator[Refused]:
        """Yield what is wrong with the end of the connection; usually nothing."""
        if self._buffer and not self._is_over:
            yield Refused("cut line", f"the last {len(self._buffer)} bytes have no line end")

    def _is_pickle(self) -> bool:
        buffer = self._buffer
        return len(buffer) > _PICKLE_LENGTH_BYTES and not buffer[0] and buffer[_PICKLE_LENGTH_BYTES] in _PICKLE

    def _line(self) -> bytes | Refused | None:
        """Return the next line without its end, what is wrong with it, or None when it is not all here."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if self._is_skipping:
            if end < 0:
                buffer.clear()
                return None
            self._is_skipping = False
            self._forget(end + 1)
            return b""
        if end > MAX_LINE_BYTES or (end < 0 and len(buffer) > MAX_LINE_BYTES):
            self._is_skipping = end < 0
            self._forget(len(buffer) if end < 0 else end + 1)
            return Refused("line too long", f"more than {MAX_LINE_BYTES} bytes")
        if end < 0:
            self._searched = len(buffer)
            return None
        line = bytes(buffer[:end])
        self._forget(end + 1)
        return line

    def _forget(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0


def _record(line: bytes, now_ns: int) -> LogRecord | Refused:
    try:
        return LogRecord.from_header(read_header(line, MAX_LINE_BYTES), now_ns)
    except MessageMalformed as error:
        return Refused(error.reason, str(error))
