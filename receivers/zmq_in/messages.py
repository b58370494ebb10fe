"""Messages that are no waveforms, as another rawdaq publishes them: chosen by topic, checked, and passed on."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rawdaq.messages import frames
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.order import FrameOrder
from rawdaq.protocols.message_errors import MessageMalformed
from rawdaq.sockets.refusals import Refusals
from rawdaq.streams.topics import Topics

_WANTED = re.compile(rf"~(({'|'.join(Kind)})(\.[!-~]*)?)?")
_TOO_MANY = "too many topics"


def check_wanted(topics: list[str]) -> list[str]:
    """Return beginnings of topics that can be; a pydantic validator.

    Raises:
        ValueError: one of them cannot be; the text says which, and what would be right.
    """
    for topic in topics:
        if not _WANTED.fullmatch(topic):
            kinds = ", ".join(f"~{kind}" for kind in Kind)
            raise ValueError(f"{topic!r} is none of {kinds}, alone or with .NET.STA.NAME; `~` means all")
    return topics


class MessageInput:
    """Reads messages, leaves out what is not wanted, and counts what is malformed and what is missing.

    Args:
        wanted: beginnings of the topics that are passed on.
        topics: the numbers of the component's own messages, in which what was lost on the way here is left out.
        refusals: counts what is malformed.

    Attributes:
        order: counts what is missing.
    """

    def __init__(self, wanted: Sequence[str], topics: Topics, refusals: Refusals) -> None:
        self.order = FrameOrder()
        self._wanted = tuple(topic.encode() for topic in wanted)
        self._topics = topics
        self._refusals = refusals

    def runs(self, address: str, burst: Iterable[Sequence[bytes]]) -> Iterator[list[Message]]:
        """Yield the messages of a burst from *address* that are wanted, in lists within which none is missing.

        Each is to be published before the next one is asked for.
        """
        run: list[Message] = []
        for parts in burst:
            message = self._message(address, parts)
            if message is None:
                continue
            if missing := self.order.missing(address, message):
                if run:
                    yield run
                    run = []
                self._topics.skip(message.topic, missing)
            run.append(message)
        if run:
            yield run

    def _message(self, address: str, parts: Sequence[bytes]) -> Message | None:
        if not parts[0].startswith(self._wanted):
            return None
        try:
            message = frames.decode(parts)
        except MessageMalformed as error:
            self._refusals.count(error.reason, address, error)
            return None
        if not self._topics.admits(message.topic):
            self._refusals.count(_TOO_MANY, address, message.topic)
            return None
        return message
