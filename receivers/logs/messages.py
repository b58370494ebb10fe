"""Log records that come by ZMQ: the topic ``~log`` and a header with the keys of a record."""

from collections.abc import Sequence

from rawdaq.messages.frames import topic_in
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import LAYOUT_VERSION, MAX_HEADER_BYTES, Kind, kind_of
from rawdaq.protocols.json_header import read_header, wrong_value
from rawdaq.protocols.message_errors import UnsupportedLayout


def record_in(parts: Sequence[bytes], now_ns: int) -> LogRecord:
    """Return the record that a message carries, of rawdaq or of any program.

    Args:
        parts: its frames.
        now_ns: the time of one that has none.

    Raises:
        MessageMalformed: it carries none; the text says why.
    """
    topic = topic_in(parts)
    header = read_header(parts[1], MAX_HEADER_BYTES)
    if kind_of(topic) is not Kind.LOG:
        raise wrong_value({"topic": topic}, "topic", "~log")
    version = header.get("rawdaq", LAYOUT_VERSION)
    if type(version) is int and version > LAYOUT_VERSION:
        raise UnsupportedLayout(version, LAYOUT_VERSION)
    return LogRecord.from_header(header, now_ns)
