"""What a receiver asks a server for: which streams, and from which time on.

A server serves each window of a request for itself: a stream that two of them mean comes twice, for as long as the
connection lasts. A stream that is known has a place of its own, and a name with ``*`` would mean it once more. So
data are never asked for by such names: a short connection before that of the data asks for the newest packet by them,
and its acknowledgement, which is all that is read of it, lists every stream that they mean. The data are then asked
for by whole names, each once, from where it is to begin. This needs nothing of a server that data themselves do not
need.

Servers look for streams only when a request comes. Therefore the short connection is made again from time to time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rawdaq.errors import InvalidValue, RawdaqError, error_text
from rawdaq.protocols.isi import IsiName, Place, Policy, Window
from rawdaq.protocols.isi.waveform import stream_of
from rawdaq.receivers.isi.positions import Positions
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

#: What began while we did not ask for it may have begun so much before that, by its own clock.
_MARGIN_NS = 60 * NS_PER_S
#: What to do about a name that a server does not know.
CASE_REMEDY = (
    "real servers tell capitals from small letters, and use small ones; `rawdaq-dump --connect isi://HOST:PORT "
    "--info soh` lists what it has"
)


@error_text("the server has no stream {names}: " + CASE_REMEDY)
class NoSuchStream(RawdaqError):
    """The server has none of the wanted streams."""

    names: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the station file says.

    Attributes:
        names: of streams, as the server is asked for them.
        network: of all of them.
        start: where a stream begins that was never received: a place, or a time.
        policy: go on where the last connection ended, or at the newest packet.
    """

    names: tuple[IsiName, ...]
    network: str
    start: Place | int = Place.NEWEST
    policy: Policy = Policy.MIN_GAP

    @property
    def wild_names(self) -> list[IsiName]:
        """The names that may mean several streams."""
        return [name for name in self.names if name.is_wild]

    @property
    def whole_names(self) -> list[IsiName]:
        """The names of one stream each."""
        return [name for name in self.names if not name.is_wild]

    def streams(self, names: Iterable[IsiName]) -> dict[StreamId, IsiName]:
        """Return the streams that *names* are, each once; those that no stream can have are left out."""
        named: dict[StreamId, IsiName] = {}
        for name in names:
            try:
                named.setdefault(stream_of(name, self.network), name)
            except InvalidValue:
                continue
        return named

    def no_such_stream(self) -> NoSuchStream:
        """Return the error of a server that has none of these."""
        return NoSuchStream(" or ".join(map(str, self.names)))


def plan(
    wanted: Wanted, names: Mapping[StreamId, IsiName], positions: Positions, *, goes_on: bool = False
) -> tuple[Window, ...]:
    """Return a window for each of *names*.

    Args:
        wanted: what the station file says.
        names: how the server calls the streams that it is asked for.
        positions: how far everything was received.
        goes_on: whether the last connection was ended by us, so that nothing is old.
    """
    must_resume = goes_on or wanted.policy is Policy.MIN_GAP
    windows: list[Window] = []
    for stream, name in names.items():
        position = positions.streams.get(str(stream))
        if position is None:
            windows.append(Window(name, _begin(wanted, positions.listed_ns, must_resume=must_resume)))
        else:
            windows.append(Window(name, position.next_ns if must_resume else Place.NEWEST))
    return tuple(windows)


def _begin(wanted: Wanted, listed_ns: int | None, *, must_resume: bool) -> Place | int:
    """Return where a stream begins that was never received: as wished, or, when it is new, with its first packet."""
    if wanted.start is Place.NEWEST and listed_ns is not None and must_resume:
        return listed_ns - _MARGIN_NS
    return wanted.start
