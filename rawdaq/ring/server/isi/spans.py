"""Which packets of a ring the windows of an ISI client mean, and how far it has got them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from rawdaq.errors import RawdaqError
from rawdaq.protocols.isi import Place, Window
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.reading import RingReader
from rawdaq.ring.sending import Client, Follower, View
from rawdaq.ring.streams import StreamState
from rawdaq.times import MAX_YEAR, MIN_YEAR, from_calendar

#: Clients know times to so much: one that goes on behind a packet must not pass over the next, of one sample.
_ROUNDING_NS: Final = 1000


#: Of all times that data can have: windows may begin long before and end long after.
_FIRST_NS, _LAST_NS = from_calendar(MIN_YEAR, 1, 0, 0, 0), from_calendar(MAX_YEAR, 365, 23, 59, 59)


class Span(NamedTuple):
    """The packets of a stream that a window means.

    Attributes:
        begin: the first number.
        stop: behind the last number; None: it goes on for ever.
        begin_ns: only packets that end at or after this time; None: all.
        end_ns: only packets that begin at or before this time; None: all.
    """

    begin: int
    stop: int | None
    begin_ns: int | None = None
    end_ns: int | None = None

    def has(self, packet: RingPacket) -> bool:
        """Return whether *packet* is one of them."""
        return (
            self.begin <= packet.position
            and (self.stop is None or packet.position < self.stop)
            and (self.begin_ns is None or packet.end_ns >= self.begin_ns)
            and (self.end_ns is None or packet.start_ns <= self.end_ns)
        )


async def find_span(reader: RingReader, window: Window, name: str, state: StreamState | None) -> Span | None:
    """Return the packets of a stream that a window means; None: there are none, and none will come.

    Args:
        reader: of the ring.
        window: the times.
        name: of the stream in the ring.
        state: what is held of it; None: nothing.

    Raises:
        StoreError: the disk cannot be read.
    """
    stop, end_ns = _end(window, state, reader.end)
    begin_ns: int | None = None
    match window.begin:
        case int(begin_ns):
            begin_ns = min(max(begin_ns, _FIRST_NS), _LAST_NS) - _ROUNDING_NS
            found = await reader.find([name], begin_ns)
            begin = reader.end if found is None else found
        case Place.NEWEST:
            begin = reader.end if state is None else state.last.position
        case _:
            begin = reader.oldest
    is_empty = stop is not None and begin >= stop
    is_reversed = isinstance(window.begin, int) and isinstance(window.end, int) and window.begin > window.end
    return None if is_empty or is_reversed else Span(begin, stop, begin_ns, end_ns)


def _end(window: Window, state: StreamState | None, end: int) -> tuple[int | None, int | None]:
    """Return behind which number, and after which time, a window ends."""
    match window.end:
        case int(end_ns):
            return end, end_ns + _ROUNDING_NS
        case Place.KEEP_UP:
            return None, None
        case Place.NEWEST:
            return state.last.position + 1 if state is not None else 0, None
        case Place.OLDEST:
            return state.first.position + 1 if state is not None else 0, None
        case Place.UNDEFINED:
            return 0, None


class IsiView(View):
    """What one client gets.

    Args:
        spans: those of each stream; what several have is sent once.
        is_compressed: whether samples are compressed.
        frame: makes a frame of a payload.
        failed: called with the reason when a record cannot be converted.
    """

    def __init__(
        self,
        spans: Mapping[str, Sequence[Span]],
        is_compressed: bool,
        frame: Callable[[bytes], bytes],
        failed: Callable[[RingPacket, RawdaqError], None],
    ) -> None:
        self._spans, self._is_compressed = spans, is_compressed
        self._frame, self._failed = frame, failed

    def may_send(self, name: str) -> bool:
        """Whether packets of the stream *name* are sent."""
        return name in self._spans

    def frame(self, packet: RingPacket) -> bytes:
        """Return *packet* as it is sent; empty when it is not."""
        is_meant = any(span.has(packet) for span in self._spans.get(packet.name, ()))
        payloads = packet.isi(self._is_compressed, self._failed) if is_meant else ()
        return b"".join(map(self._frame, payloads))


class IsiFollower(Follower):
    """A client that gets packets.

    Args:
        client: the client.
        view: what it gets.
        spans: all of it.
        finish: called when it has all that it wants.
    """

    def __init__(self, client: Client, view: IsiView, spans: Sequence[Span], finish: Callable[[], None]) -> None:
        super().__init__(client, view, min(span.begin for span in spans))
        self._stop = None if any(span.stop is None for span in spans) else max(span.stop or 0 for span in spans)
        self._finish = finish

    def advance(self, position: int) -> None:
        """Take note that it has all up to *position*."""
        super().advance(position)
        if self._stop is not None and position >= self._stop and not self.is_over:
            self._finish()
