"""A server's half of the handshake: the words that choose stations, as requests; each version has its own way.

A word that cannot be understood raises `Refusal` and changes nothing. What can be understood is accepted, also what no
stored station matches: libslink gives a whole connection up when one word is refused.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rawdaq.errors import InvalidValue
from rawdaq.protocols.seedlink import v3, v4
from rawdaq.protocols.seedlink.requests import ANY_STATION, MAX_SELECTORS, MAX_STATIONS, Start, StationRequest
from rawdaq.protocols.seedlink.selectors import Selector
from rawdaq.protocols.seedlink.times import parse_time
from rawdaq.protocols.seedlink.words import ErrorCode, Refusal

_CODE = re.compile(r"[A-Z0-9*?-]{1,8}", re.ASCII)
_STATION_ID = re.compile(r"[A-Z0-9_*?-]{1,21}", re.ASCII)

T = TypeVar("T")


@dataclass(slots=True)
class _Draft:
    """A request that is not complete yet."""

    station: str
    selectors: list[Selector] = field(default_factory=list[Selector])
    start: int | Start = Start.NEXT
    last_packet_ns: int | None = None
    begin_ns: int | None = None
    end_ns: int | None = None

    def request(self, is_dial_up: bool) -> StationRequest:
        selectors = tuple(self.selectors)
        times = self.last_packet_ns, self.begin_ns, self.end_ns
        return StationRequest(self.station, selectors, self.start, *times, is_dial_up)


class Handshake(ABC):
    """The stations that a client has asked for so far.

    Args:
        filters: names of the conversions that the server offers.
    """

    def __init__(self, filters: Collection[str]) -> None:
        self._filters = filters
        self._drafts: list[_Draft] = []
        self._current: _Draft | None = None
        self._selector_count = 0

    @property
    def has_begun(self) -> bool:
        """Whether a station was asked for."""
        return bool(self._drafts)

    def _requests(self, is_dial_up: bool) -> tuple[StationRequest, ...]:
        return tuple(draft.request(is_dial_up) for draft in self._drafts)

    @abstractmethod
    def station(self, arguments: Sequence[str]) -> None:
        """Take the word STATION.

        Raises:
            Refusal: no station, or too many.
        """

    @abstractmethod
    def select(self, arguments: Sequence[str]) -> None:
        """Take the word SELECT.

        Raises:
            Refusal: no selector, too many, or one for no station.
        """

    def _added(self, station: str) -> _Draft:
        if len(self._drafts) >= MAX_STATIONS:
            raise Refusal(ErrorCode.LIMIT, f"more than {MAX_STATIONS} stations")
        self._drafts.append(_Draft(station))
        return self._drafts[-1]

    def _select(self, draft: _Draft, texts: Sequence[str]) -> None:
        selectors = [_read(Selector.parse, text) for text in texts]
        for selector in selectors:
            if selector.filter and selector.filter not in self._filters:
                raise Refusal(ErrorCode.UNSUPPORTED, f"no filter {selector.filter}, see INFO FORMATS")
        if self._selector_count + len(selectors) > MAX_SELECTORS:
            raise Refusal(ErrorCode.LIMIT, f"more than {MAX_SELECTORS} selectors")
        self._selector_count += len(selectors)
        draft.selectors += selectors


class HandshakeV3(Handshake):
    """The words of version 3: STATION, SELECT, and DATA, FETCH or TIME, which start a station.

    Without STATION there is one request, for any station, and what starts it starts the transfer (uni-station mode).
    A station that is named again gets more selectors; SeisComP names it once for each channel. Of several words that
    start a station the last counts.

    Attributes:
        is_multi_station: whether a station was named.
        is_dial_up: whether only what is stored is wanted.
    """

    def __init__(self, filters: Collection[str]) -> None:
        super().__init__(filters)
        self.is_multi_station = False
        self.is_dial_up = False
        self._by_station: dict[str, _Draft] = {}

    def station(self, arguments: Sequence[str]) -> None:
        """Take ``STATION sta [net]``."""
        if not self.is_multi_station:
            self._forget()
        self.is_multi_station, self._current = True, None
        if not 1 <= len(arguments) <= 2:
            raise Refusal(ErrorCode.ARGUMENTS, "STATION needs a station and a network")
        codes = [code.upper() for code in arguments]
        if not all(map(_CODE.fullmatch, codes)):
            raise Refusal(ErrorCode.ARGUMENTS, "no station code")
        station = f"{codes[1] if len(codes) > 1 else ANY_STATION}_{codes[0]}"
        if station not in self._by_station:
            self._by_station[station] = self._added(station)
        self._current = self._by_station[station]

    def select(self, arguments: Sequence[str]) -> None:
        """Take ``SELECT pattern``; without a pattern the station has no selectors any more."""
        draft = self._draft()
        if len(arguments) > 1:
            raise Refusal(ErrorCode.ARGUMENTS, "SELECT takes one selector")
        if not arguments:
            self._selector_count -= len(draft.selectors)
            draft.selectors.clear()
        self._select(draft, arguments)

    def data(self, arguments: Sequence[str]) -> None:
        """Take ``DATA [seq|ALL [time]]``.

        Raises:
            Refusal: an argument is wrong.
        """
        self._start(arguments, is_dial_up=False)

    def fetch(self, arguments: Sequence[str]) -> None:
        """Take ``FETCH [seq|ALL [time]]``: the whole connection then wants only what is stored.

        Raises:
            Refusal: an argument is wrong.
        """
        self._start(arguments, is_dial_up=True)

    def _start(self, arguments: Sequence[str], *, is_dial_up: bool) -> None:
        if len(arguments) > 2:
            raise Refusal(ErrorCode.ARGUMENTS, "only a sequence number and a time are taken")
        start = _start_at(arguments, v3.parse_sequence)
        last_packet_ns = _read(parse_time, arguments[1]) if len(arguments) > 1 else None
        draft = self._draft()
        draft.start, draft.last_packet_ns, draft.begin_ns, draft.end_ns = start, last_packet_ns, None, None
        self.is_dial_up = self.is_dial_up or is_dial_up

    def time(self, arguments: Sequence[str]) -> None:
        """Take ``TIME begin [end]``.

        Raises:
            Refusal: an argument is wrong.
        """
        if not 1 <= len(arguments) <= 2:
            raise Refusal(ErrorCode.ARGUMENTS, "TIME needs a begin and may have an end")
        begin_ns, end_ns = _window(arguments)
        draft = self._draft()
        draft.start, draft.last_packet_ns, draft.begin_ns, draft.end_ns = Start.OLDEST, None, begin_ns, end_ns

    def requests(self) -> tuple[StationRequest, ...]:
        """Return what the client asked for, in its order; a station without a word that starts it begins live."""
        return self._requests(self.is_dial_up)

    def _forget(self) -> None:
        """Forget selectors that came before the first station."""
        self._drafts.clear()
        self._selector_count = 0

    def _draft(self) -> _Draft:
        """Return the request that the words are for; in uni-station mode it begins with the first of them."""
        if self._current is None:
            if self.is_multi_station:
                raise Refusal(ErrorCode.UNEXPECTED, "no station is chosen")
            self._current = self._added(ANY_STATION)
        return self._current


class HandshakeV4(Handshake):
    """The words of version 4: STATION, SELECT and DATA; each STATION begins a new request."""

    def station(self, arguments: Sequence[str]) -> None:
        """Take ``STATION net_sta``."""
        self._current = None
        if len(arguments) != 1 or not _STATION_ID.fullmatch(arguments[0].upper()):
            raise Refusal(ErrorCode.ARGUMENTS, "STATION needs one station like XX_ABC")
        self._current = self._added(arguments[0].upper())

    def select(self, arguments: Sequence[str]) -> None:
        """Take ``SELECT pattern ...``."""
        draft = self._draft()
        if not arguments:
            raise Refusal(ErrorCode.ARGUMENTS, "SELECT needs a selector")
        self._select(draft, arguments)

    def data(self, arguments: Sequence[str]) -> None:
        """Take ``DATA [seq|ALL [begin [end]]]``.

        Raises:
            Refusal: an argument is wrong.
        """
        draft = self._draft()
        if len(arguments) > 3:
            raise Refusal(ErrorCode.ARGUMENTS, "only a sequence number, a begin and an end are taken")
        start = _start_at(arguments, v4.parse_sequence)
        draft.begin_ns, draft.end_ns = _window(arguments[1:])
        draft.start = start

    def requests(self, *, is_dial_up: bool = False) -> tuple[StationRequest, ...]:
        """Return what the client asked for, in its order; a station without DATA begins live."""
        return self._requests(is_dial_up)

    def _draft(self) -> _Draft:
        if self._current is None:
            raise Refusal(ErrorCode.UNEXPECTED, "no station is chosen")
        return self._current


def _read(parse: Callable[[str], T], text: str) -> T:
    """Return what *parse* makes of an argument.

    Raises:
        Refusal: nothing.
    """
    try:
        return parse(text)
    except InvalidValue as error:
        raise Refusal(ErrorCode.ARGUMENTS, str(error)) from None


def _start_at(arguments: Sequence[str], parse_sequence: Callable[[str], int]) -> int | Start:
    """Return where a transfer begins, as the first argument says.

    Raises:
        Refusal: it is no sequence number.
    """
    if not arguments:
        return Start.NEXT
    return Start.OLDEST if arguments[0].upper() == "ALL" else _read(parse_sequence, arguments[0])


def _window(arguments: Sequence[str]) -> tuple[int | None, int | None]:
    """Return begin and end of a time window.

    Raises:
        Refusal: one is not a time, or the end lies before the begin.
    """
    begin_ns, end_ns = [*(_read(parse_time, text) for text in arguments), None, None][:2]
    if begin_ns is not None and end_ns is not None and end_ns < begin_ns:
        raise Refusal(ErrorCode.ARGUMENTS, "the end of the time window lies before its begin")
    return begin_ns, end_ns
