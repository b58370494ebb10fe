"""Names, times with their state, and rates."""

import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.protocols.isi import IsiName, NameInvalid, Stamp, TimeStatus, check_names
from rawdaq.protocols.isi.errors import TimeUnreadable
from rawdaq.protocols.isi.values import (
    NAME_BYTES,
    RATE_BYTES,
    STAMP_BYTES,
    decode_rate,
    encode_rate,
    from_seconds,
    to_seconds,
)
from rawdaq.times import from_iso

CODES = st.text(st.sampled_from("abcxyzABC019-_"), min_size=1)
NAMES = st.builds(
    IsiName,
    CODES.filter(lambda code: len(code) <= 7),
    st.text(st.sampled_from("bhzZ0_"), min_size=1, max_size=3),
    st.text(st.sampled_from("01a"), max_size=2),
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (IsiName("coco", "bhz", "20"), b"coco\0\0\0bhz20"),
        (IsiName("pfo", "lhz"), b"pfo\0\0\0\0lhz  "),
        (IsiName("pfo", "lh", "0"), b"pfo\0\0\0\0lh\x000\0"),
        (IsiName("station", "bhz", "00"), b"stationbhz00"),
        (IsiName("*", "*", "*"), b"*\0\0\0\0\0\0*\0\0*\0"),
        (IsiName("AAK", "BHZ", "00"), b"AAK\0\0\0\0BHZ00"),
    ],
)
def test_a_name_and_its_bytes_are_the_same_thing(name: IsiName, data: bytes) -> None:
    assert name.encode() == data
    assert IsiName.decode(data) == name
    assert len(data) == NAME_BYTES == 12


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"coco\0\0\0*\0\xe9*\0", IsiName("coco", "*", "*")),
        (b"aak\0\xa5\x7f\0bhz00", IsiName("aak", "bhz", "00")),
        (b"\0aaaaaa\0bb\0c", IsiName("", "", "")),
        (b"pfo    lh   ", IsiName("pfo", "lh", "")),
        (b"pfo\0\0\0\0lhz\0\0", IsiName("pfo", "lhz", "")),
        (b"pf\xf6\0\0\0\0lhz0 ", IsiName("pfö", "lhz", "0")),
    ],
)
def test_what_follows_a_nul_is_rubbish(data: bytes, name: IsiName) -> None:
    assert IsiName.decode(data) == name


@given(NAMES)
def test_a_name_is_the_same_after_the_way(name: IsiName) -> None:
    assert IsiName.decode(name.encode()) == name
    assert IsiName.parse(str(name)) == name
    assert name.matches(name)


@pytest.mark.parametrize(
    "name",
    [
        IsiName("eightlet", "bhz"),
        IsiName("aak", "bhzz"),
        IsiName("aak", "bhz", "000"),
        IsiName("aäk", "bhz"),
        IsiName("aak", "bhz", "0ö"),
    ],
)
def test_a_name_that_is_too_long_or_no_ascii_has_no_bytes(name: IsiName) -> None:
    with pytest.raises(NameInvalid, match=r"stream '.+' is longer than 7, 3 and 2 characters, or not ASCII") as raised:
        name.encode()
    assert str(name) in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("aak.bhz.00", IsiName("aak", "bhz", "00")),
        ("AAK.bhz", IsiName("AAK", "bhz", "")),
        ("aak.bhz.", IsiName("aak", "bhz", "")),
        ("*.*.*", IsiName("*", "*", "*")),
        ("*.bhz", IsiName("*", "bhz", "")),
        ("station:bhz;1", IsiName("station", "bhz", "1")),
        ("a,b/2", IsiName("a", "b", "2")),
    ],
)
def test_a_name_is_read_from_text(text: str, name: IsiName) -> None:
    assert IsiName.parse(text) == name
    assert check_names([text]) == [text]


@pytest.mark.parametrize(
    "text",
    ["", "aak", "aak.", ".bhz", "aak.bh*", "stations.bhz", "a.bhzz", "a.b.000", "a.b.c.d", "ä.b", "a.b\n", "a b"],
)
def test_a_text_that_is_no_name_is_an_error(text: str) -> None:
    with pytest.raises(NameInvalid, match=r"is not like aak\.bhz\.00, aak\.bhz or \*\.\*\.\*"):
        IsiName.parse(text)
    with pytest.raises(InvalidValue, match=r"stream '.*' is not like aak\.bhz\.00"):
        check_names(iter(["aak.bhz", text]))


@pytest.mark.parametrize(
    ("wild", "stream", "does_match"),
    [
        ("*.*.*", "aak.bhz.00", True),
        ("*.*.*", "aak.bhz", True),
        ("*.*", "aak.bhz", True),
        ("*.*", "aak.bhz.00", False),
        ("aak.bhz.00", "AAK.BHZ.00", True),
        ("AAK.*.*", "aak.lhz.10", True),
        ("aak.bhz.*", "aak.bhn.00", False),
        ("aak.bhz.00", "pfo.bhz.00", False),
        ("aak.bhz.00", "aak.bhz.01", False),
        ("aak.bhz", "aak.bhz", True),
    ],
)
def test_a_part_is_the_same_or_an_asterisk(wild: str, stream: str, does_match: bool) -> None:
    assert IsiName.parse(wild).matches(IsiName.parse(stream)) is does_match
    assert IsiName.parse(wild).is_wild is ("*" in wild)


def test_a_name_is_written_with_its_location_when_it_has_one() -> None:
    assert str(IsiName("aak", "bhz", "00")) == "aak.bhz.00"
    assert str(IsiName("aak", "bhz")) == "aak.bhz"
    assert str(IsiName("", "", "1")) == "..1"


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (Stamp(1_069_190_000_000_000_000, TimeStatus.LOCKED), "41 cf dd 45 b8 00 00 00 00 01"),
        (Stamp(1_069_190_000_175_000_000, 1), "41 cf dd 45 b8 16 66 66 00 01"),
        (Stamp(1_069_276_400_500_000_000), "41 cf dd ee 78 40 00 00 80 00"),
        (Stamp(None), "bf f0 00 00 00 00 00 00 80 00"),
        (Stamp(None, 0xFFFF), "bf f0 00 00 00 00 00 00 ff ff"),
        (Stamp(0, 0), "00 00 00 00 00 00 00 00 00 00"),
        (Stamp(-1_500_000_000, 0), "bf f8 00 00 00 00 00 00 00 00"),
    ],
)
def test_a_stamp_and_its_bytes_are_the_same_thing(stamp: Stamp, text: str) -> None:
    assert stamp.encode() == bytes.fromhex(text)
    assert Stamp.decode(bytes.fromhex(text)) == stamp
    assert len(stamp.encode()) == STAMP_BYTES == 10


@pytest.mark.parametrize(
    ("status", "percent"),
    [
        (0, None),
        (0x6400, None),
        (0x6420, 100),
        (0x0020, 0),
        (0x3B21, 59),
        (0x6520, None),
        (TimeStatus.QUALITY | TimeStatus.UNKNOWN, None),
    ],
)
def test_a_clock_has_the_quality_that_it_says(status: int, percent: int | None) -> None:
    assert Stamp(0, status).quality_percent == percent


def test_the_bits_of_a_status_have_their_values() -> None:
    assert [each.value for each in TimeStatus] == [1, 2, 4, 8, 16, 32, 0x8000]


@given(st.integers(-9_214_560_000, 9_214_646_399), st.integers(0, 999_999))
def test_a_time_is_the_same_to_a_microsecond(seconds: int, microseconds: int) -> None:
    time_ns = seconds * 1_000_000_000 + microseconds * 1000
    off_ns = abs((Stamp.decode(Stamp(time_ns).encode()).time_ns or 0) - time_ns)
    # From 2^32 seconds on, in 2106 and before 1833, the floating point number itself has steps of a microsecond.
    assert off_ns <= (0 if abs(seconds) < 2**32 else 1000)


@pytest.mark.parametrize("text", ["1678-01-01T00:00:00", "2261-12-31T23:59:59", "1969-12-31T23:59:58.999999"])
def test_a_time_at_the_limit_is_taken(text: str) -> None:
    assert from_seconds(to_seconds(from_iso(text))) == from_iso(text)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), 9.3e9, -9.3e9, 1e300, 9999999999.999])
def test_a_number_that_is_no_time_is_an_error(seconds: float) -> None:
    with pytest.raises(TimeUnreadable, match="is no time"):
        Stamp.decode(struct.pack(">dH", seconds, 0))


RATES: list[tuple[float | None, tuple[int, int]]] = [
    (40.0, (40, 1)),
    (1.0, (1, 1)),
    (32767.0, (32767, 1)),
    (0.1, (-10, 1)),
    (1 / 3, (-3, 1)),
    (1 / 49, (-49, 1)),
    (1 / 32767, (-32767, 1)),
    (None, (-1, -1)),
    (62.5, (125, -2)),
    (99.9, (999, -10)),
    (100 / 3, (100, -3)),
    (1 / 10.5, (2, -21)),
    (0.3, (3, -10)),
]


@pytest.mark.parametrize(("rate_hz", "factors"), RATES)
def test_a_rate_is_the_same_after_the_way(rate_hz: float | None, factors: tuple[int, int]) -> None:
    assert encode_rate(rate_hz) == struct.pack(">2h", *factors)
    assert decode_rate(encode_rate(rate_hz)) == (None if rate_hz is None else pytest.approx(rate_hz, rel=1e-12))
    assert len(encode_rate(rate_hz)) == RATE_BYTES == 4


@pytest.mark.parametrize(
    ("rate_hz", "factors"),
    [
        (100_000.0, (32767, 1)),
        (32767.5, (32767, 1)),
        (20_000.5, (20000, 1)),
        (3.14159265, (3, 1)),
        (99.99837, (100, 1)),
        (100.0000000001, (100, 1)),
        (1e-6, (-32767, 1)),
        (1 / 32768, (-32767, 1)),
        (1 / 3.14159265, (-3, 1)),
    ],
)
def test_a_rate_that_two_numbers_cannot_say_is_sent_as_real_servers_do(
    rate_hz: float, factors: tuple[int, int]
) -> None:
    assert struct.unpack(">2h", encode_rate(rate_hz)) == factors


@pytest.mark.parametrize(
    ("factors", "rate_hz"),
    [
        ((33, 10), 330.0),
        ((330, -10), 33.0),
        ((-33, 10), 10 / 33),
        ((-33, -10), 1 / 330),
        ((1, 1), 1.0),
        ((-1, 1), 1.0),
        ((1, -1), 1.0),
        ((-1, -1), None),
        ((0, 1), None),
        ((1, 0), None),
        ((0, 0), None),
        ((-32768, 1), 1 / 32768),
        ((-2, -1), 0.5),
        ((-1, -2), 0.5),
        ((32767, 32767), 32767.0**2),
        ((-32768, -32768), 2.0**-30),
    ],
)
def test_signs_say_whether_to_multiply_or_to_divide(factors: tuple[int, int], rate_hz: float | None) -> None:
    assert decode_rate(struct.pack(">2h", *factors)) == rate_hz


@given(st.floats(1e-6, 1e6))
def test_every_rate_can_be_sent(rate_hz: float) -> None:
    sent_hz = decode_rate(encode_rate(rate_hz))
    assert sent_hz is not None
    if 1 / 32767 <= rate_hz <= 32767:
        assert sent_hz == pytest.approx(rate_hz, rel=0.5)


@given(st.integers(1, 32767))
def test_whole_numbers_of_hertz_and_seconds_have_the_multiplier_one(number: int) -> None:
    assert struct.unpack(">2h", encode_rate(float(number))) == (number, 1)
    assert struct.unpack(">2h", encode_rate(1 / number)) == (-number if number > 1 else 1, 1)
