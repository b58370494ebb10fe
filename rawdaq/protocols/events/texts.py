"""Events as lines of text or JSON, as MessagePack, and as NMEA sentences, which are lines too."""

import json
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols import nmea
from rawdaq.protocols.events.event import Event, EventFormat, ForeignMessage, Frames, MalformedMessage
from rawdaq.protocols.events.times import DecimalFloat, Origin, Unit, reader
from rawdaq.protocols.json_path import JsonPath

#: Its JSON is at most six times as long, and a header has a limit of 128 KiB.
MAX_MESSAGE_BYTES = 16_384
_MAX_DEPTH = 32  # of lists and objects in each other


class LineFrames:
    r"""Cuts a byte stream into lines; one that is too long is cut off, so that what reads it finds it malformed.

    >>> list(LineFrames().receive_data(b"one\r\n\ntwo\nthr"))
    [b'one', b'two']
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_long = False

    def receive_data(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """Yield each line that is whole and not empty, without its end."""
        self._buffer += chunk
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[: min(end, MAX_MESSAGE_BYTES + 1)]).rstrip(b"\r")
            del self._buffer[: end + 1]
            was_long, self._is_long = self._is_long, False
            if line and not was_long:
                yield line
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            line = bytes(self._buffer[: MAX_MESSAGE_BYTES + 1])
            self._buffer.clear()
            was_long, self._is_long = self._is_long, True
            if not was_long:
                yield line

    def receive_eof(self) -> None:
        """Note that the peer closed.

        Raises:
            MalformedMessage: that was in the middle of a line.
        """
        if self._buffer and not self._is_long:
            raise MalformedMessage(f"the peer closed after {len(self._buffer)} bytes of a line")


class _LineFormat(EventFormat):
    """Reads messages of one line or several."""

    def events(self, message: bytes) -> Sequence[Event]:
        """Return the events of the lines of a message.

        Raises:
            RemoteProtocolError: one of several is no event; nothing of them is taken then.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise MalformedMessage(f"line of more than {MAX_MESSAGE_BYTES} bytes")
        try:
            lines = message.decode().splitlines()
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"the text is not UTF-8: {error.reason}") from None
        return [event for line in lines if line for event in self._of_line(line)]

    @abstractmethod
    def _of_line(self, line: str) -> Sequence[Event]:
        """Return the events of one line."""

    def frames(self) -> Frames:
        """Return what finds lines in a byte stream."""
        return LineFrames()


class NmeaFormat(_LineFormat):
    """Reads the sentences RMC, ZDA and GGA of a GNSS receiver; others are counted."""

    def __init__(self) -> None:
        self._clock = nmea.Clock()
        self._others = 0

    def _of_line(self, line: str) -> Sequence[Event]:
        sentence = nmea.parse(line.strip())
        fix = self._clock.read(sentence)
        if fix is None:
            self._others += 1
            return ()
        fields = {"talker": sentence.talker, "fix": fix.has_fix, "satellites": fix.satellites}
        shown = {key: value for key, value in fields.items() if value is not None}
        return (Event(sentence.kind, shown, fix.time_ns, quality=fix.quality, payload=line.encode()),)

    def status(self) -> dict[str, object]:
        """Return how many sentences there were that say nothing of the time."""
        return {"other_sentences": self._others}


class _Described:
    """What a station file says of messages that name their values.

    Args:
        type: what the events are called.
        counter: the value whose jumps are losses; None: there is none.
        quality: the value that says how good the time is; None: none does.
        time: the values that add up to the time, and their units; none: there is no time.
        origin: what it is counted from.
    """

    def __init__(
        self,
        *,
        type: str = "time",
        counter: str | None = None,
        quality: str | None = None,
        time: Sequence[tuple[str, Unit]] = (),
        origin: Origin = Origin.UTC,
    ) -> None:
        paths = {name: JsonPath.parse(name) for name in (*(name for name, _ in time), counter, quality) if name}
        self._type, self._counter, self._quality = type, counter, quality
        self._paths = paths
        self._stamp = reader(time, origin)

    def event(self, values: Mapping[str, Any], payload: bytes | None = None) -> Event:
        """Return the event that has *values*.

        Raises:
            RemoteProtocolError: one of them cannot be.
        """
        found = {name: path.find(values) for name, path in self._paths.items()}
        time_ns, ps, device_ns = self._stamp(found)
        counter = _whole(found, self._counter, (1 << 64) - 1)
        quality = _whole(found, self._quality, 100)
        return Event(self._type, values, time_ns, ps, device_ns, counter, quality, payload=payload)


def _whole(found: Mapping[str, Any], name: str | None, most: int) -> int | None:
    """Return a whole number from 0 to *most*, written as one or as text; None when the message does not have it."""
    value = found.get(name) if name else None
    if value is None:
        return None
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,20}", value, re.ASCII) else value
    if type(number) is not int or not 0 <= number <= most:
        raise MalformedMessage(f"{name} is {value!r:.75}, not a whole number in 0-{most}")
    return number


class PatternFormat(_LineFormat):
    """Reads lines by a regular expression, whose named groups are the values; lines without it are foreign.

    Args:
        expression: finds the values.
        described: which of them mean what, see `_Described`.

    Raises:
        InvalidValue: the expression is invalid, or has no such groups.
    """

    def __init__(self, expression: str, **described: Any) -> None:
        try:
            self._expression = re.compile(expression)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidValue(f"expression {expression!r} is no regular expression: {error}") from None
        groups = self._expression.groupindex
        if not groups:
            raise InvalidValue(f"expression {expression!r} has no named groups such as (?P<time>[0-9.]+)")
        self._described = _Described(**described)
        named = [described.get("counter"), described.get("quality"), *(name for name, _ in described.get("time", ()))]
        for name in named:
            if name is not None and name not in groups:
                raise InvalidValue(f"the expression has no group {name!r}, only {', '.join(groups)}")

    def _of_line(self, line: str) -> Sequence[Event]:
        match = self._expression.search(line)
        if match is None:
            raise ForeignMessage(f"{line!r:.75} does not match the expression")
        return (self._described.event(match.groupdict(), line.encode()),)


class JsonFormat(_LineFormat):
    """Reads JSON objects, one a line.

    Args:
        described: which values mean what, see `_Described`.
    """

    def __init__(self, **described: Any) -> None:
        self._described = _Described(**described)

    def _of_line(self, line: str) -> Sequence[Event]:
        try:
            value: object = json.loads(line, parse_float=DecimalFloat)
        except (ValueError, RecursionError) as error:
            raise MalformedMessage(f"not JSON: {error}") from None
        return (self._described.event(_object(value, "JSON"), line.encode()),)


class MsgpackFormat(EventFormat):
    """Reads MessagePack maps, one or several after each other.

    Args:
        described: which values mean what, see `_Described`.

    Raises:
        ComponentError: the library is not installed.
    """

    def __init__(self, **described: Any) -> None:
        self._described = _Described(**described)
        self._unpacker = _msgpack().Unpacker

    def events(self, message: bytes) -> Sequence[Event]:
        """Return the events of a message.

        Raises:
            RemoteProtocolError: it is malformed; nothing of it is taken then.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise MalformedMessage(f"message of {len(message)} bytes, limit is {MAX_MESSAGE_BYTES}")
        frames = MsgpackFrames(self._unpacker)
        found = [self._described.event(each) for each in frames.objects(message)]
        frames.receive_eof()
        return found

    def frames(self) -> Frames:
        """Return what finds maps in a byte stream."""
        return MsgpackFrames(self._unpacker)


class MsgpackFrames:
    """Cuts a byte stream into MessagePack objects; bytes of another kind end the stream.

    Args:
        unpacker: the class of the library that reads them.
    """

    def __init__(self, unpacker: Callable[..., Any]) -> None:
        self._unpacker = unpacker(max_buffer_size=1 << 22, strict_map_key=False, timestamp=2)
        self._buffer = bytearray()
        self._at = 0  # where the buffer begins in the stream

    def receive_data(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """Yield the bytes of each object as it becomes whole.

        Raises:
            MalformedMessage: the bytes are not MessagePack, or an object is too long.
        """
        self._buffer += chunk
        for _ in self._objects(chunk):
            size = self._unpacker.tell() - self._at
            yield bytes(self._buffer[:size])
            del self._buffer[:size]
            self._at += size
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            raise MalformedMessage(f"MessagePack object of more than {MAX_MESSAGE_BYTES} bytes")

    def receive_eof(self) -> None:
        """Note that the peer closed.

        Raises:
            MalformedMessage: that was in the middle of an object.
        """
        if self._buffer:
            raise MalformedMessage(f"{len(self._buffer)} bytes of a MessagePack object, the rest is missing")

    def objects(self, message: bytes) -> Iterator[Mapping[str, Any]]:
        """Yield the maps of a message.

        Raises:
            MalformedMessage: it has others, or bytes that are not MessagePack.
        """
        self._buffer += message
        for value in self._objects(message):
            del self._buffer[: self._unpacker.tell() - self._at]
            self._at = self._unpacker.tell()
            yield _object(_plain(value, 0), "MessagePack")

    def _objects(self, chunk: bytes | memoryview) -> Iterator[object]:
        try:
            self._unpacker.feed(chunk)
            yield from self._unpacker
        # The library has errors of its own beside those of Python, and promises none of them.
        except Exception as error:
            raise MalformedMessage(f"not MessagePack: {error!r:.75}") from None


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedMessage(f"{what} of {type(value).__name__}, not an object with values")
    _plain(cast("object", value), 0)
    return cast("dict[str, Any]", value)


def _plain(value: Any, depth: int) -> Any:
    """Return *value* in what JSON has: bytes as hexadecimal text, a timestamp as nanoseconds, other keys as text.

    Raises:
        MalformedMessage: it is nested too deep.
    """
    if depth > _MAX_DEPTH:
        raise MalformedMessage(f"values are nested deeper than {_MAX_DEPTH}")
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {key if isinstance(key, str) else str(key): _plain(each, depth + 1) for key, each in items}
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in cast("list[object]", value)]
    data: Any = getattr(cast("object", value), "data", value)  # of an extension
    return data.hex() if isinstance(data, bytes) else data


def _msgpack() -> Any:
    try:
        import msgpack
    except ImportError as error:
        raise ComponentError("MessagePack needs msgpack; install it: pip install 'rawdaq[msgpack]'") from error
    return msgpack
