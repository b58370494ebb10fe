"""Entries of reports: what was captured, newer ones, and lines of 283 characters whatever is in them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.protocols.isi import Coordinates, IsiName, NameInvalid, Stamp, StreamConfiguration, StreamHealth
from rawdaq.protocols.isi.errors import TimeUnreadable, WrongSize
from rawdaq.protocols.isi.reports import WFDISC_BYTES, wfdisc_line
from rawdaq.times import from_iso
from tests.protocols import isi_wire as wire

NAME = IsiName("coco", "bhz", "20")
HEALTH = StreamHealth(
    NAME, Stamp(1_069_190_000_000_000_000), Stamp(1_069_276_400_500_000_000), 3.0, segments=2, records=357_608
)
EMPTY = StreamHealth(IsiName("pfo", "lhz"), Stamp(None), Stamp(None), 0.0, 0, 0)
WHERE = Coordinates(-12.1901, 96.8349, 3.0, 70.0)


def single(*numbers: float) -> tuple[float, ...]:
    """Return *numbers* as 32 bits have them."""
    return struct.unpack(f"{len(numbers)}f", struct.pack(f"{len(numbers)}f", *numbers))


@pytest.mark.parametrize(("health", "data"), [(HEALTH, wire.HEALTH), (EMPTY, wire.EMPTY_HEALTH)])
def test_a_state_is_as_it_was_captured(health: StreamHealth, data: bytes) -> None:
    assert health.encode() == data
    assert StreamHealth.decode(data) == health
    assert len(data) == 48


def test_numbers_that_are_too_large_stay_at_the_largest() -> None:
    huge = StreamHealth.decode(HEALTH._replace(segments=2**32, records=2**40).encode())
    assert (huge.segments, huge.records) == (2**32 - 1, 2**32 - 1)


def test_a_configuration_is_as_it_was_captured() -> None:
    configuration = StreamConfiguration(NAME, 40.0, WHERE)
    assert configuration.encode() == wire.CONFIGURATION
    decoded = StreamConfiguration.decode(wire.CONFIGURATION)
    assert decoded == configuration._replace(coordinates=Coordinates(*single(*WHERE)))
    assert len(wire.CONFIGURATION) == 55


def test_of_an_unknown_sensor_is_said_what_real_servers_say() -> None:
    unknown = StreamConfiguration(IsiName("pfo", "lhz"), None)
    numbers = struct.pack(">8f", *(4 * [-12.3456]), 0.0, -1.0, -999.9, -999.9)
    assert unknown.encode() == b"pfo\0\0\0\0lhz  \xff\xff\xff\xff" + numbers + b"-\0\0\0\0\0\0"
    assert StreamConfiguration.decode(unknown.encode()) == unknown
    half = unknown._replace(coordinates=Coordinates(-12.3456, -12.3456, 0.0, -12.3456))
    assert StreamConfiguration.decode(half.encode()).coordinates == single(*half.coordinates or ())
    nowhere = unknown._replace(coordinates=Coordinates(*(4 * [float("nan")])))
    assert StreamConfiguration.decode(nowhere.encode()).coordinates is not None


@pytest.mark.parametrize(
    ("instrument", "data", "read"),
    [
        ("sts2", b"sts2\0\0\0", "sts2"),
        ("seismometer", b"seismom", "seismom"),
        ("Müller", b"M?ller\0", "M?ller"),
        ("", bytes(7), ""),
    ],
)
def test_an_instrument_has_up_to_seven_characters(instrument: str, data: bytes, read: str) -> None:
    payload = StreamConfiguration(NAME, 40.0, WHERE, instrument).encode()
    assert payload[48:] == data
    assert StreamConfiguration.decode(payload).instrument == read


def test_rubbish_behind_an_instrument_is_not_read() -> None:
    assert StreamConfiguration.decode(wire.CONFIGURATION[:-7] + b"a\0\xe9\xffbcd").instrument == "a"


@pytest.mark.parametrize(("kind", "data"), [(StreamHealth, wire.HEALTH), (StreamConfiguration, wire.CONFIGURATION)])
def test_an_entry_may_be_longer_and_not_shorter(
    kind: type[StreamHealth] | type[StreamConfiguration], data: bytes
) -> None:
    assert kind.decode(data + b"newer") == kind.decode(data)
    with pytest.raises(WrongSize, match=f"has {len(data) - 1} bytes instead of {len(data)}"):
        kind.decode(data[:-1])
    with pytest.raises(WrongSize, match="has 0 bytes"):
        kind.decode(b"")


def test_a_state_with_a_wrong_time_or_name_is_an_error() -> None:
    with pytest.raises(TimeUnreadable):
        StreamHealth.decode(wire.HEALTH[:12] + b"\x7f\xf0" + wire.HEALTH[14:])
    with pytest.raises(NameInvalid):
        HEALTH._replace(name=IsiName("eightlet", "bhz")).encode()


#: Column, offset, width, and what stands there, with its blanks.
COLUMNS = [
    ("sta", 0, 6, "coco  "),
    ("chan", 7, 8, "bhz20   "),
    ("time", 16, 17, " 1069190000.12346"),
    ("wfid", 34, 8, "       7"),
    ("chanid", 43, 8, "      -1"),
    ("jdate", 52, 8, " 2003322"),
    ("endtime", 61, 17, " 1069276400.50000"),
    ("nsamp", 79, 8, " 3456017"),
    ("smprate", 88, 11, " 40.0000000"),
    ("calib", 100, 16, "        0.000000"),
    ("calper", 117, 16, "       -1.000000"),
    ("instype", 134, 6, "-     "),
    ("segtype", 141, 1, "-"),
    ("datatype", 143, 2, "s4"),
    ("clip", 146, 1, "-"),
    ("dir", 148, 64, "-".ljust(64)),
    ("dfile", 213, 32, "-".ljust(32)),
    ("foff", 246, 10, "        -1"),
    ("commid", 257, 8, "      -1"),
    ("lddate", 266, 17, "11/20/03 01:02:03"),
]
OLDEST, NEWEST = from_iso("1678-01-01T00:00:00"), from_iso("2261-12-31T23:59:59.999999999")


def test_each_column_of_a_line_is_where_the_table_has_it() -> None:
    line = wfdisc_line(
        NAME, 7, 1_069_190_000_123_456_789, 1_069_276_400_500_000_000, 40.0, 3_456_017, from_iso("2003-11-20T01:02:03")
    )
    assert len(line.encode("ascii")) == WFDISC_BYTES == 283
    assert {name: line[at : at + width] for name, at, width, _ in COLUMNS} == {name: text for name, *_, text in COLUMNS}
    between = [at - 1 for _, at, *_ in COLUMNS[1:]]
    assert {line[at] for at in between} == {" "}
    assert between == [at + width for _, at, width, _ in COLUMNS[:-1]]
    assert COLUMNS[-1][1] + COLUMNS[-1][2] == 283


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0.00000"),
        (4_999, "0.00000"),
        (5_000, "0.00001"),
        (999_995_000, "1.00000"),
        (-1_500_000_000, "-1.50000"),
        (-1_000_000_000, "-1.00000"),
        (-250_000_000, "-0.25000"),
        (OLDEST, "-9214560000.00000"),
        (from_iso("2261-12-31T23:59:59"), "9214646399.00000"),
    ],
)
def test_a_time_of_a_line_has_five_decimals(time_ns: int, text: str) -> None:
    line = wfdisc_line(NAME, 1, time_ns, time_ns, 1.0, 1, 0)
    assert line[16:33] == line[61:78] == text.rjust(17)


@pytest.mark.parametrize(
    ("rate_hz", "text"),
    [
        (0.1, "  0.1000000"),
        (62.5, " 62.5000000"),
        (100.0, "100.0000000"),
        (1000.0, "1000.000000"),
        (100_000.0, "100000.0000"),
        (1e10, "10000000000"),
        (1 / 3600, "  0.0002778"),
        (1e-9, "  0.0000000"),
    ],
)
def test_a_rate_of_a_line_is_cut_at_its_end(rate_hz: float, text: str) -> None:
    line = wfdisc_line(NAME, 1, 0, 0, rate_hz, 1, 0)
    assert line[88:99] == text
    assert len(line) == 283


def test_what_is_too_long_for_its_column_is_cut() -> None:
    line = wfdisc_line(IsiName("STATION", "channel", "00"), 10**9, OLDEST, NEWEST, 1e30, 10**12, NEWEST)
    assert len(line) == 283
    assert (line[:6], line[7:15], line[34:42], line[79:87]) == ("STATIO", "channel0", "99999999", "99999999")
    assert line[266:] == "12/31/61 23:59:59"


@given(
    st.builds(IsiName, st.text(max_size=9), st.text(max_size=9), st.text(max_size=4)),
    st.integers(0, 2**64),
    st.integers(OLDEST, NEWEST),
    st.integers(OLDEST, NEWEST),
    st.floats(1e-12, 1e30),
    st.integers(0, 2**64),
    st.integers(OLDEST, NEWEST),
)
def test_a_line_never_has_another_length(
    name: IsiName, wfid: int, start_ns: int, end_ns: int, rate_hz: float, samples: int, made_ns: int
) -> None:
    line = wfdisc_line(name, wfid, start_ns, end_ns, rate_hz, samples, made_ns)
    assert len(line.encode("ascii", "replace")) == 283


def test_a_time_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(InvalidValue, match="1678-2261"):
        wfdisc_line(NAME, 1, NEWEST + 10**9, NEWEST, 1.0, 1, 0)
