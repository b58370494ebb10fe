"""`Message`: what a receiver publishes that is no waveform."""

import json
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np

from rawdaq.errors import InvalidValue

#: The layout that is written, and the highest that is read.
LAYOUT_VERSION: Final = 1
#: A log line of 64 KiB is a header, with some keys more: bounds what a peer can make the JSON reader do.
MAX_HEADER_BYTES: Final = 1 << 17
#: More than a network, a station and a component have.
MAX_TOPIC_BYTES: Final = 200

_TOPIC: Final = re.compile(r"~([a-z]+)((?:\.[!-~]+)?)")
_SHOWN: Final = 75  # characters of a foreign value in an error


class Kind(StrEnum):
    """What a message is about; the word after ``~`` in its topic."""

    READOUT = "readout"
    EVENT = "event"
    TELEMETRY = "telemetry"
    LOG = "log"
    MONITOR = "monitor"


_KINDS: Final = frozenset(kind.value for kind in Kind)


def topic_of(kind: Kind, *names: object) -> str:
    """Return the topic of messages of *kind*, of a station's component where *names* say which.

    >>> topic_of(Kind.EVENT, "XX.DEMO", "Triggers"), topic_of(Kind.LOG)
    ('~event.XX.DEMO.Triggers', '~log')

    Raises:
        InvalidValue: a name cannot stand there.
    """
    topic = ".".join((f"~{kind}", *map(str, names)))
    kind_of(topic)
    return topic


@lru_cache(maxsize=4096)
def kind_of(topic: str) -> Kind:
    """Return the kind of messages of *topic*.

    Raises:
        InvalidValue: it is no topic of a message.
    """
    found = _TOPIC.fullmatch(topic)
    if found is None or len(topic) > MAX_TOPIC_BYTES or found[1] not in _KINDS:
        kinds = ", ".join(f"~{kind}" for kind in Kind)
        raise InvalidValue(f"topic {topic[:_SHOWN]!r} is none of {kinds}, alone or with .NET.STA.NAME")
    return Kind(found[1])


class Message:
    """What a receiver publishes that is no waveform: a JSON object with a topic, and bytes if there are any.

    ``await receiver.publish(Message(topic, {"time_ns": ..., ...}, data))`` completes the header: see `published`.
    A message is a value: nothing of it changes once it is made.

    Args:
        topic: ``~readout.NET.STA.NAME``, ``~event.NET.STA.NAME``, ``~telemetry.NET.STA.NAME``, ``~log`` or
            ``~monitor``; `topic_of` makes one.
        header: keys and values that JSON has, numpy's included; NaN and infinite numbers become null.
        payload: bytes that belong to it, such as the samples of a readout; they are kept, not copied.

    Attributes:
        kind: what it is about.
        size_bytes: of all parts.

    Raises:
        InvalidValue: the topic cannot be.
    """

    __slots__ = ("_head", "header", "kind", "payload", "topic")

    #: How many messages this is, see `rawdaq.packet.PacketRun.count`.
    count = 1

    def __init__(self, topic: str, header: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
        self.kind = kind_of(topic)
        self.topic = topic
        self.header = header
        self.payload = payload if isinstance(payload, bytes) else _flat(payload)
        self._head: bytes | None = None

    def published(self, frame: int, component: str, now_ns: int) -> "Message":
        """Return this message as it leaves a receiver, with all keys that every header has.

        Args:
            frame: its number among those of its topic.
            component: who publishes it; one that is passed on keeps the name of who did so first.
            now_ns: when, in nanoseconds since 1970 UTC; a ``received_ns`` that it has stays.
        """
        header = {
            "rawdaq": LAYOUT_VERSION,
            "kind": self.kind.value,
            "frame": frame,
            "received_ns": now_ns,
            "component": component,
        }
        for key, value in self.header.items():
            if key not in _OURS:
                header[key] = value
        message = _new(Message)
        message.kind, message.topic, message.payload = self.kind, self.topic, self.payload
        message.header, message._head = header, None  # noqa: SLF001 - its own
        return message

    @property
    def head(self) -> bytes:
        """The header as JSON.

        Raises:
            InvalidValue: JSON has no such values, or they are too many.
        """
        head = self._head
        if head is None:
            head = self._head = _encoded(self.header)
            if len(head) > MAX_HEADER_BYTES:
                self._head = None
                raise InvalidValue(f"header of {self.topic} has {len(head)} bytes, limit is {MAX_HEADER_BYTES}")
        return head

    @property
    def frame(self) -> int:
        """Its number among those of its topic; 0 before it is published."""
        return int(self.header.get("frame", 0))

    @property
    def component(self) -> str:
        """Who published it first; empty before that."""
        return str(self.header.get("component", ""))

    @property
    def received_ns(self) -> int:
        """When what it says arrived, in nanoseconds since 1970 UTC; 0 before it is published."""
        return int(self.header.get("received_ns", 0))

    @property
    def size_bytes(self) -> int:
        """Size of header and payload."""
        return len(self.head) + len(self.payload)

    def owned(self) -> "Message":
        """Return this message with bytes of its own, not a view that keeps in memory what came together with them."""
        return self if isinstance(self.payload, bytes) else Message(self.topic, self.header, bytes(self.payload))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (self.topic, self.header, self.payload) == (other.topic, other.header, other.payload)

    def __hash__(self) -> int:
        return hash((self.topic, self.frame, len(self.payload)))

    def __reduce__(self) -> tuple[object, ...]:
        return Message, (self.topic, self.header, bytes(self.payload))

    def __repr__(self) -> str:
        return f"Message({self.topic!r}, {self.header!r}, {len(self.payload)} bytes)"


_new = object.__new__
_NUMPY: Final = (np.generic, np.ndarray)
_OURS = frozenset({"rawdaq", "kind", "frame"})


def _flat(payload: memoryview) -> bytes | memoryview:
    return payload.cast("B") if payload.nbytes else b""


def _encoded(header: Mapping[str, Any]) -> bytes:
    try:
        try:
            text = _encode(header)
        except ValueError:
            text = _encode(_finite(header))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"header cannot be JSON: {error}") from error
    return text.encode("utf-8", "replace")


def _plain(value: object) -> object:
    """Return what JSON has instead of a value of numpy, or another mapping."""
    if isinstance(value, _NUMPY):
        return cast("object", value.tolist())
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError(f"{type(value).__name__} {str(value)[:_SHOWN]!r} is nothing that JSON has")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def _finite(value: Any) -> Any:
    """Return *value* with null for each number that JSON does not have."""
    if isinstance(value, _NUMPY):
        return _finite(cast("object", value.tolist()))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value  # pyright: ignore[reportUnknownVariableType]
