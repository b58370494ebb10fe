"""What a record may look like, and which streams it can carry."""

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.miniseed.format import V2_LENGTHS, Encoding, RecordFormat, why_not
from rawdaq.stream_id import StreamId


def test_default_is_miniseed_2_of_512_bytes() -> None:
    assert RecordFormat() == RecordFormat(2, 512, Encoding.AUTO, None)


def test_equal_formats_are_one_key() -> None:
    assert len({RecordFormat(3, 4096, "steim1"), RecordFormat(3, 4096, Encoding.STEIM1)}) == 1


@pytest.mark.parametrize("length_bytes", V2_LENGTHS)
def test_miniseed_2_takes_every_power_of_two_that_libmseed_writes(length_bytes: int) -> None:
    assert RecordFormat(2, length_bytes).length_bytes == length_bytes


@pytest.mark.parametrize("length_bytes", [128, 500, 10_485_760])
def test_miniseed_3_takes_any_length(length_bytes: int) -> None:
    assert RecordFormat(3, length_bytes).length_bytes == length_bytes


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"version": 4}, "version 4 is not 2 or 3"),
        ({"length_bytes": 500}, "500 is not a power of two"),
        ({"length_bytes": 64}, "64 is not a power of two"),
        ({"length_bytes": 1 << 18}, "262144 is not a power of two"),
        ({"version": 3, "length_bytes": 127}, "127 is not in 128-10485760"),
        ({"version": 3, "length_bytes": 10_485_761}, "10485761 is not in"),
        ({"encoding": "steim3"}, "'steim3' is not one of auto, steim1"),
        ({"flush_after_s": -1.0}, "flush_after_s -1.0"),
        ({"flush_after_s": float("nan")}, "flush_after_s nan"),
        ({"flush_after_s": float("inf")}, "flush_after_s inf"),
    ],
)
def test_what_no_record_can_be_is_refused(wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        RecordFormat(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("name", ["XX.DEMO.00.HHZ", "X.D..HHZ", "XX.ABCDE.00.H_H_Z"])
def test_seed_names_fit_both_versions(name: str) -> None:
    stream = StreamId.parse(name)
    assert why_not(RecordFormat(2), stream) is None
    assert why_not(RecordFormat(3), stream) is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("XXX.DEMO.00.HHZ", "network XXX"),
        ("XX.DEMODEMO.00.HHZ", "station DEMODEMO"),
        ("XX.DEMO.000.HHZ", "location 000"),
        ("XX.DEMO.00.B_BB_Z", "channel B_BB_Z"),
        ("XX.DEMO.00._T_", "channel _T_"),
    ],
)
def test_longer_names_need_version_3(name: str, what: str) -> None:
    stream = StreamId.parse(name)
    assert what in str(why_not(RecordFormat(2), stream))
    assert why_not(RecordFormat(3), stream) is None


def test_a_name_that_fills_the_record_is_refused() -> None:
    stream = StreamId.parse(f"ABCDEFGH.ABCDEFGH.00.H_{'X' * 20}_Z")
    assert "use 218 or more" in str(why_not(RecordFormat(3, 128), stream))
    assert why_not(RecordFormat(3, 218), stream) is None


def test_a_name_that_libmseed_cannot_hold_is_refused() -> None:
    stream = StreamId.parse(f"ABCDEFGH.ABCDEFGH.00.H_{'X' * 60}_Z")
    assert "more than 63 characters" in str(why_not(RecordFormat(3), stream))
