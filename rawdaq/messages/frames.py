"""A message on ZMQ: two frames, topic and JSON header, and a third one where there is a payload.

>>> from rawdaq.messages.message import Message
>>> message = Message("~log", {"level": 20, "message": "started"}).published(0, "Logs", 1790000000000000000)
>>> decode(encode(message)) == message
True
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rawdaq.errors import InvalidValue, error_text
from rawdaq.messages.message import LAYOUT_VERSION, MAX_HEADER_BYTES, Message, kind_of
from rawdaq.protocols.json_header import Frame, read_header, wrong_value
from rawdaq.protocols.message_errors import MessageMalformed, UnsupportedLayout

_INT64 = 1 << 63
_MAX_NAME = 256  # characters


class TopicWrong(MessageMalformed):
    """No message has such a topic."""

    reason = "unknown topic"


@error_text("message of {count} frames, not 2 or 3 (topic, header, payload)")
class MessageFramesWrong(MessageMalformed):
    """A message has another number of frames than two or three."""

    reason = "wrong number of frames"

    count: int


def encode(message: Message) -> list[Frame]:
    """Return the frames of *message*.

    Raises:
        InvalidValue: its header cannot be JSON.
    """
    frames: list[Frame] = [message.topic.encode(), message.head]
    if len(message.payload):
        frames.append(message.payload)
    return frames


def decode(frames: Sequence[Frame]) -> Message:
    """Return the message that *frames* carry.

    Raises:
        MessageMalformed: it is not one of ours; the subclass carries the numbers.
    """
    topic = topic_in(frames)
    header = read_header(frames[1], MAX_HEADER_BYTES)
    version = _whole(header, "rawdaq", 1)
    if version > LAYOUT_VERSION:
        raise UnsupportedLayout(version, LAYOUT_VERSION)
    if header.get("kind") != kind_of(topic):
        raise wrong_value(header, "kind", f"that of topic {topic}")
    _whole(header, "frame", 0)
    _whole(header, "received_ns", -_INT64)
    if not isinstance(name := header.get("component"), str) or len(name) > _MAX_NAME:
        raise wrong_value(header, "component", f"a name of at most {_MAX_NAME} characters")
    return Message(topic, header, frames[2] if len(frames) == 3 else b"")


def topic_in(frames: Sequence[Frame]) -> str:
    """Return the topic of a message whose header may be anything.

    Raises:
        MessageMalformed: these are not the frames of a message.
    """
    if not 2 <= len(frames) <= 3:
        raise MessageFramesWrong(len(frames))
    topic = bytes(frames[0][:256]).decode("ascii", "replace")
    try:
        kind_of(topic)
    except InvalidValue as error:
        raise TopicWrong(str(error)) from None
    return topic


def _whole(header: Mapping[str, Any], key: str, low: int) -> int:
    value = header.get(key)
    if type(value) is not int or not low <= value < _INT64:
        raise wrong_value(header, key, f"a whole number from {low} on")
    return value
