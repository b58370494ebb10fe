import pytest

from rawdaq.protocols.seedlink import ErrorCode, Refusal, Selector, Start, StationRequest
from rawdaq.protocols.seedlink.requests import MAX_SELECTORS, MAX_STATIONS
from rawdaq.protocols.seedlink.server.handshake import HandshakeV3, HandshakeV4
from rawdaq.times import NS_PER_S, from_calendar

NINE_NS = from_calendar(2026, 333, 9, 0, 0)
TEN_NS = NINE_NS + 3600 * NS_PER_S
NINE3, TEN3 = "2026,11,29,9,0,0", "2026,11,29,10,00,00"
NINE4, TEN4 = "2026-11-29T09:00:00Z", "2026-11-29T10:00:00.0Z"
HHZ, HHN = Selector.parse("HHZ"), Selector.parse("!00HHN")


def say(handshake: HandshakeV3 | HandshakeV4, line: str) -> ErrorCode | None:
    """Return why *line* is refused, None when it is not."""
    word, *arguments = line.split()
    try:
        getattr(handshake, word.lower())(arguments)
    except Refusal as refusal:
        return refusal.code
    return None


# Lines of version 3, and what the client then wants.
V3: list[tuple[str, list[StationRequest]]] = [
    ("", []),
    ("STATION AAA XX", [StationRequest("XX_AAA")]),
    ("STATION aaa xx/DATA", [StationRequest("XX_AAA")]),
    ("STATION AAA/DATA", [StationRequest("*_AAA")]),
    ("STATION * X?", [StationRequest("X?_*")]),
    ("STATION AAA XX/SELECT HHZ/SELECT !00HHN/DATA", [StationRequest("XX_AAA", (HHZ, HHN))]),
    ("STATION AAA XX/SELECT HHZ/SELECT/SELECT !00HHN", [StationRequest("XX_AAA", (HHN,))]),
    ("STATION AAA XX/DATA 0000d0", [StationRequest("XX_AAA", start=0xD0)]),
    ("STATION AAA XX/DATA 0x2b", [StationRequest("XX_AAA", start=0x2B)]),
    ("STATION AAA XX/DATA all", [StationRequest("XX_AAA", start=Start.OLDEST)]),
    (f"STATION AAA XX/DATA D0 {NINE3}", [StationRequest("XX_AAA", start=0xD0, last_packet_ns=NINE_NS)]),
    (f"STATION AAA XX/TIME {NINE3}", [StationRequest("XX_AAA", start=Start.OLDEST, begin_ns=NINE_NS)]),
    (
        f"STATION AAA XX/TIME {NINE3} {TEN3}",
        [StationRequest("XX_AAA", start=Start.OLDEST, begin_ns=NINE_NS, end_ns=TEN_NS)],
    ),
    (
        "STATION AAA XX/FETCH D0/STATION BBB XX/DATA",
        [StationRequest("XX_AAA", start=0xD0, is_dial_up=True), StationRequest("XX_BBB", is_dial_up=True)],
    ),
    # SeisComP: once for each channel; the last word that starts the station counts
    (
        f"STATION AAA XX/SELECT HHZ/TIME {NINE3}/STATION BBB XX/STATION AAA XX/SELECT !00HHN/DATA D0",
        [StationRequest("XX_AAA", (HHZ, HHN), start=0xD0), StationRequest("XX_BBB")],
    ),
    # uni-station mode
    ("SELECT HHZ/DATA", [StationRequest("*", (HHZ,))]),
    (f"TIME {NINE3}", [StationRequest("*", start=Start.OLDEST, begin_ns=NINE_NS)]),
    # selectors before the first station are for none
    ("SELECT HHZ/STATION AAA XX", [StationRequest("XX_AAA")]),
]


@pytest.mark.parametrize(("lines", "requests"), V3)
def test_words_of_version_3_make_requests(lines: str, requests: list[StationRequest]) -> None:
    handshake = HandshakeV3(("native",))
    assert not any(say(handshake, line) for line in filter(None, lines.split("/")))
    assert list(handshake.requests()) == requests
    assert handshake.has_begun is bool(requests)


REFUSED_V3 = [
    ("STATION", ErrorCode.ARGUMENTS),
    ("STATION A B C", ErrorCode.ARGUMENTS),
    ("STATION TOOLONGCODE XX", ErrorCode.ARGUMENTS),
    ("STATION A/B XX", ErrorCode.ARGUMENTS),
    ("SELECT ABCDEFGHIJ", ErrorCode.ARGUMENTS),
    ("SELECT HHZ HHN", ErrorCode.ARGUMENTS),
    ("SELECT HHZ:3", ErrorCode.UNSUPPORTED),
    ("DATA XYZ", ErrorCode.ARGUMENTS),
    ("DATA -1", ErrorCode.ARGUMENTS),
    ("DATA D0 yesterday", ErrorCode.ARGUMENTS),
    (f"DATA D0 {NINE3} {TEN3}", ErrorCode.ARGUMENTS),
    ("FETCH XYZ", ErrorCode.ARGUMENTS),
    ("TIME", ErrorCode.ARGUMENTS),
    ("TIME yesterday", ErrorCode.ARGUMENTS),
    (f"TIME {TEN3} {NINE3}", ErrorCode.ARGUMENTS),
    (f"TIME {NINE3} {TEN3} {TEN3}", ErrorCode.ARGUMENTS),
]


@pytest.mark.parametrize(("line", "code"), REFUSED_V3)
def test_a_word_of_version_3_that_is_refused_changes_nothing(line: str, code: ErrorCode) -> None:
    handshake = HandshakeV3(("native",))
    assert say(handshake, "STATION AAA XX") is None
    assert say(handshake, line) is code
    assert handshake.requests() == (StationRequest("XX_AAA"),)


def test_after_a_refused_station_its_words_are_refused_too() -> None:
    handshake = HandshakeV3(("native",))
    assert say(handshake, "STATION") is ErrorCode.ARGUMENTS
    assert say(handshake, "SELECT HHZ") is ErrorCode.UNEXPECTED
    assert say(handshake, "DATA") is ErrorCode.UNEXPECTED
    assert handshake.requests() == ()
    newer = HandshakeV4(("native",))
    assert say(newer, "STATION XX_AAA") is None
    assert say(newer, "STATION XX_/AAA") is ErrorCode.ARGUMENTS
    assert say(newer, "SELECT *") is ErrorCode.UNEXPECTED
    assert newer.requests() == (StationRequest("XX_AAA"),)


V4: list[tuple[str, list[StationRequest]]] = [
    ("STATION XX_AAA/DATA", [StationRequest("XX_AAA")]),
    ("STATION xx_aaa", [StationRequest("XX_AAA")]),
    ("STATION */SELECT HHZ !00HHN/DATA", [StationRequest("*", (HHZ, HHN))]),
    ("STATION */SELECT HHZ/SELECT !00HHN/DATA 28", [StationRequest("*", (HHZ, HHN), start=28)]),
    ("STATION */SELECT *:3/DATA", [StationRequest("*", (Selector.parse("*:3"),))]),
    ("STATION */DATA 18446744073709551615", [StationRequest("*", start=2**64 - 1)]),
    (f"STATION */DATA 28 {NINE4}", [StationRequest("*", start=28, begin_ns=NINE_NS)]),
    (
        f"STATION */DATA ALL {NINE4} {TEN4}",
        [StationRequest("*", start=Start.OLDEST, begin_ns=NINE_NS, end_ns=TEN_NS)],
    ),
    ("STATION XX_AAA/STATION XX_AAA/SELECT HHZ", [StationRequest("XX_AAA"), StationRequest("XX_AAA", (HHZ,))]),
]


@pytest.mark.parametrize(("lines", "requests"), V4)
def test_words_of_version_4_make_requests(lines: str, requests: list[StationRequest]) -> None:
    handshake = HandshakeV4(("native", "3"))
    assert not any(say(handshake, line) for line in lines.split("/"))
    assert list(handshake.requests()) == requests
    assert [each.is_dial_up for each in handshake.requests(is_dial_up=True)] == [True] * len(requests)


REFUSED_V4 = [
    ("STATION", ErrorCode.ARGUMENTS),
    ("STATION AAA XX", ErrorCode.ARGUMENTS),
    ("STATION " + "X" * 22, ErrorCode.ARGUMENTS),
    ("SELECT", ErrorCode.ARGUMENTS),
    ("SELECT HHZ ABCDEFGHIJ", ErrorCode.ARGUMENTS),
    ("SELECT HHZ:label", ErrorCode.UNSUPPORTED),
    ("DATA 1A", ErrorCode.ARGUMENTS),
    ("DATA ALL not-a-time", ErrorCode.ARGUMENTS),
    (f"DATA ALL {TEN4} {NINE4}", ErrorCode.ARGUMENTS),
    (f"DATA ALL {NINE4} {TEN4} {TEN4}", ErrorCode.ARGUMENTS),
]


@pytest.mark.parametrize(("line", "code"), REFUSED_V4)
def test_a_word_of_version_4_that_is_refused_changes_nothing(line: str, code: ErrorCode) -> None:
    handshake = HandshakeV4(("native",))
    assert say(handshake, "STATION XX_AAA") is None
    assert say(handshake, line) is code
    assert handshake.requests()[0] == StationRequest("XX_AAA")


@pytest.mark.parametrize("handshake", [HandshakeV3(("native",)), HandshakeV4(("native",))])
def test_stations_and_selectors_have_a_limit(handshake: HandshakeV3 | HandshakeV4) -> None:
    for number in range(MAX_STATIONS):
        assert say(handshake, f"STATION S{number}") is None
    assert say(handshake, "STATION ONE") is ErrorCode.LIMIT
    assert say(handshake, "STATION S1" if isinstance(handshake, HandshakeV3) else "STATION S2") is (
        None if isinstance(handshake, HandshakeV3) else ErrorCode.LIMIT
    )
    newer = HandshakeV4(("native",))
    assert say(newer, "STATION *") is None
    assert say(newer, "SELECT " + "HHZ " * MAX_SELECTORS) is None
    assert say(newer, "SELECT HHZ") is ErrorCode.LIMIT
