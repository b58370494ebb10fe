"""NMEA sentences: what they say of the time, checksums, and every field that can be wrong."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.nmea import ChecksumWrong, Clock, Fix, NmeaValueWrong, NotNmea, checksum, encode, parse
from rawdaq.times import from_iso

NOON_NS = from_iso("2026-11-29T12:00:00Z")


def rmc(time: str = "120000.00", status: str = "A", date: str = "291126") -> str:
    return encode("GN", "RMC", time, status, "4807.038", "N", "01131.000", "E", "0.1", "84.4", date, "", "", "A")


def gga(time: str = "120000.00", quality: str = "1", satellites: str = "09") -> str:
    return encode("GP", "GGA", time, "4807.0", "N", "01131.0", "E", quality, satellites, "0.9", "545", "M", "47", "M")


def zda(time: str = "120000.00", day: str = "29", month: str = "11", year: str = "2026") -> str:
    return encode("GP", "ZDA", time, day, month, year, "00", "00")


@pytest.mark.parametrize(
    ("lines", "fix"),
    [
        ([rmc()], Fix(NOON_NS, True, 100, None)),
        ([rmc("120000.123456789")], Fix(NOON_NS + 123_456_789, True, 100, None)),
        ([rmc("120000.1234567899")], Fix(NOON_NS + 123_456_789, True, 100, None)),
        ([rmc("120000")], Fix(NOON_NS, True, 100, None)),
        ([rmc("120000.")], Fix(NOON_NS, True, 100, None)),
        ([rmc(status="V")], Fix(NOON_NS, False, 0, None)),
        ([rmc("", "V", "")], Fix(None, False, 0, None)),
        ([rmc(date="")], Fix(None, True, 100, None)),
        ([rmc(date="010180")], Fix(from_iso("1980-01-01T12:00:00Z"), True, 100, None)),
        ([rmc("235960.00", date="311216")], Fix(from_iso("2017-01-01T00:00:00Z"), True, 100, None)),
        ([zda()], Fix(NOON_NS, None, None, None)),
        ([zda(year="")], Fix(None, None, None, None)),
        ([zda("")], Fix(None, None, None, None)),
        ([zda(day="29", month="02", year="2028")], Fix(from_iso("2028-02-29T12:00:00Z"), None, None, None)),
        ([zda(day="01", month="03", year="2028")], Fix(from_iso("2028-03-01T12:00:00Z"), None, None, None)),
        ([rmc(status="V"), zda()], Fix(NOON_NS, None, 0, None)),
        ([gga()], Fix(None, True, 100, 9)),
        ([rmc(), gga("120001.00")], Fix(NOON_NS + 10**9, True, 100, 9)),
        ([rmc("235959.00", date="281126"), gga("000000.50")], Fix(from_iso("2026-11-29T00:00:00.5Z"), True, 100, 9)),
        ([rmc("000000.00"), gga("235959.00")], Fix(from_iso("2026-11-28T23:59:59Z"), True, 100, 9)),
        ([rmc(), gga("", "0", "00")], Fix(None, False, 0, 0)),
        ([rmc(), gga(quality="", satellites="")], Fix(NOON_NS, False, 0, None)),
        ([gga(quality="6")], Fix(None, True, 20, 9)),
        ([gga(quality="8")], Fix(None, False, 0, 9)),
        (["$GPRMC*4B"], None),
    ],
)
def test_a_sentence_says_what_time_it_is(lines: list[str], fix: Fix | None) -> None:
    clock = Clock()
    if fix is None:
        with pytest.raises(NmeaValueWrong, match="status of RMC is ''"):
            clock.read(parse(lines[0]))
    else:
        assert [clock.read(parse(line)) for line in lines][-1] == fix


def test_sentences_of_other_kinds_say_nothing() -> None:
    assert Clock().read(parse(encode("GP", "GSV", "3", "1", "11"))) is None
    maker = parse(encode("P", "UBX", "00"))
    assert (maker.talker, maker.kind, maker.fields) == ("P", "UBX", ("00",))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GPZDA,1*00",
        "$GPZDA,120000",
        "$GPZDA,1*0",
        "$GPZDA,1*0G",
        "$gpzda,1*00",
        "$*00",
        "$GP,1*00",
        "$GPZDA,\x00*00",
        "$GPZDA,é*00",
        "$GPZDA," + "1" * 1024 + "*00",
    ],
)
def test_what_is_no_sentence_is_refused(line: str) -> None:
    with pytest.raises(NotNmea, match="is no NMEA sentence such as"):
        parse(line)


def test_a_wrong_checksum_is_refused() -> None:
    right = zda()
    wrong = right.replace("29", "28")
    with pytest.raises(ChecksumWrong) as caught:
        parse(wrong)
    assert str(caught.value) == f"checksum of GPZDA is {right[-2:]}, its characters have {checksum(wrong[1:-3]):02X}"
    assert parse(f"{right[:-2]}{right[-2:].lower()}") == parse(right)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (rmc("240000.00"), "time of RMC is '240000.00'"),
        (rmc("126000.00"), "time of RMC is '126000.00'"),
        (rmc("120061.00"), "time of RMC is '120061.00'"),
        (rmc("12:00:00"), "time of RMC is '12:00:00'"),
        (rmc(status="X"), "status of RMC is 'X'"),
        (rmc(status="AV"), "status of RMC is 'AV'"),
        (rmc(date="2911"), "date of RMC is '2911'"),
        (rmc(date="001126"), "day of RMC is 0"),
        (rmc(date="310226"), "day of RMC is 31"),
        (rmc(date="290226"), "day of RMC is 29"),
        (rmc(date="291326"), "month of RMC is 13"),
        (zda(month="00"), "month of ZDA is 0"),
        (zda(year="1000"), "year of ZDA is 1000"),
        (zda(year="-1"), "year of ZDA is '-1'"),
        (zda(day="x" * 90), "day of ZDA is 'x{73}…"),
        (gga(quality="x"), "fix quality of GGA is 'x'"),
        (gga(satellites="-3"), "number of satellites of GGA is '-3'"),
    ],
)
def test_a_field_that_cannot_be_is_refused(line: str, text: str) -> None:
    with pytest.raises(NmeaValueWrong, match=f"^{text}"):
        Clock().read(parse(line))


@pytest.mark.parametrize("error", [NotNmea("'x'"), ChecksumWrong("GPZDA", 1, 2), NmeaValueWrong("RMC", "day", "0")])
def test_errors_survive_pickling(error: RemoteProtocolError) -> None:
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(st.text(max_size=100) | st.lists(st.text("0123456789.,AVNEM-", max_size=12), max_size=15).map(",".join))
def test_nothing_but_errors_of_the_protocol_comes_of_any_text(text: str) -> None:
    clock = Clock()
    for kind in ("RMC", "ZDA", "GGA"):
        try:
            clock.read(parse(encode("GP", kind, text)))
            clock.read(parse(text))
        except RemoteProtocolError:
            pass
