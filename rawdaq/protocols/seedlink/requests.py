"""What a client wants: one request for each station or pattern of stations, and which request a packet belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rawdaq.protocols.seedlink.selectors import Selector, StreamKey, matches_glob, selected_filter

#: What one client may ask for: bounds what it can make a server hold.
MAX_STATIONS = 10_000
MAX_SELECTORS = 20_000

ANY_STATION = "*"


class Start(StrEnum):
    """Where a transfer begins when no sequence number is given."""

    NEXT = "next"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class StationRequest:
    """What a client wants of a station, or of all stations that a pattern names.

    Attributes:
        station: ``NET_STA``, with ``*`` for any text and ``?`` for any character.
        selectors: which streams; none means all.
        start: the number of the first wanted packet, or where to begin without one. The numbers of version 3 have 24
            bits; `rawdaq.protocols.seedlink.v3.full_sequence` finds the stored number that is meant.
        last_packet_ns: begin of the packet before number *start*, in whole seconds, as clients of version 3 say it when
            they resume. A packet of another time there means that the numbers are those of another server.
        begin_ns: only data that end at or after this time.
        end_ns: only data that begin before this time; the transfer of the station ends there.
        is_dial_up: only what is stored, no packets to come.
    """

    station: str
    selectors: tuple[Selector, ...] = ()
    start: int | Start = Start.NEXT
    last_packet_ns: int | None = None
    begin_ns: int | None = None
    end_ns: int | None = None
    is_dial_up: bool = False


class Choice(NamedTuple):
    """Why a packet is sent, and how.

    Attributes:
        place: of the request that it belongs to, among all of the client.
        filter: how the record is converted.
    """

    place: int
    filter: str


def request_of(requests: Sequence[StationRequest], station: str) -> int | None:
    """Return the place of the request that *station* belongs to: of the first one that names it.

    A station that was named before is not one of those that a later pattern names, so it keeps its own selectors and
    its own position.

    >>> request_of([StationRequest("XX_AAA"), StationRequest("XX_*")], "XX_AAA")
    0
    """
    return next((at for at, each in enumerate(requests) if matches_glob(each.station, station)), None)


def choose(requests: Sequence[StationRequest], station: str, stream: StreamKey) -> Choice | None:
    """Return why, and how, a packet of *station* is sent to a client with these *requests*; None when it is not."""
    place = request_of(requests, station)
    if place is None:
        return None
    conversion = selected_filter(requests[place].selectors, stream)
    return None if conversion is None else Choice(place, conversion)
