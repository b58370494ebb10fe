"""An event as a message carries it, and what every format of such messages can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rawdaq.errors import LocalProtocolError, RemoteProtocolError


class Event(NamedTuple):
    """What a message says.

    Attributes:
        type: one of a few words.
        fields: everything else that it says, in values that JSON has.
        time_ns: when it was, UTC; None: it does not say.
        ps: picoseconds after that, 0 to 999.
        device_ns: when it was by a clock of the device's own; None: it does not say.
        counter: its number by the device; None: it has none.
        quality: how good its time is, 0 to 100; None: it does not say.
        source: which device it is from, where several send from one address.
        payload: its bytes, where they are not the whole message.
    """

    type: str
    fields: Mapping[str, Any]
    time_ns: int | None = None
    ps: int = 0
    device_ns: int | None = None
    counter: int | None = None
    quality: int | None = None
    source: str = ""
    payload: bytes | None = None


class ForeignMessage(RemoteProtocolError):
    """A message is of another kind than the format reads; perhaps others want it."""


class MalformedMessage(RemoteProtocolError):
    """A message breaks its format."""


class Frames(Protocol):
    """Finds messages in a byte stream."""

    def receive_data(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """Yield each message as it becomes whole; a `RemoteProtocolError` ends the stream."""
        ...

    def receive_eof(self) -> None:
        """Note that the peer closed; a `RemoteProtocolError` says that this was in the middle of a message."""
        ...


class EventFormat(ABC):
    """Reads the messages of one source; a plug-in derives from it.

    Attributes:
        counter_bits: of `Event.counter`, after which it begins at 0 again.
    """

    counter_bits: int = 64

    @abstractmethod
    def events(self, message: bytes) -> Sequence[Event]:
        """Return the events of a message; none is right too, where a message is known and says nothing of events.

        Raises:
            ForeignMessage: it is of another kind.
            RemoteProtocolError: it is malformed.
        """

    def frames(self) -> Frames:
        """Return what finds the messages in a byte stream: a TCP connection, a serial line.

        Raises:
            LocalProtocolError: nothing does; by default.
        """
        raise LocalProtocolError(f"{type(self).__name__} reads messages; it cannot find them in a byte stream")

    def status(self) -> dict[str, object]:
        """Return what `status` shows of the source beside what every format counts."""
        return {}
