"""Which record belongs in which file."""

import numpy as np
import pytest

from rawdaq.archive.layout import ArchiveLayout, ArchivePath
from rawdaq.errors import InvalidValue
from rawdaq.miniseed.maker import Record, RecordFormat
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import from_calendar, from_iso
from tests.record_makers import RecordMaker, as_runs

NOW_NS = from_iso("2027-01-02T03:04:05Z")


def record(start: str = "2026-11-21T05:06:07.891234Z", name: str = "XX.DEMO.00.HHZ", version: int = 2) -> Record:
    """Return one record of 62.5 Hz."""
    maker = RecordMaker(RecordFormat(version, 4096))
    maker.add([Packet(StreamId.parse(name), from_iso(start), 62.5, np.arange(9, dtype=np.int32))], 0)
    return maker.flush()[0]


def path(layout: str, of: Record) -> str:
    return ArchiveLayout(layout).path(of, NOW_NS).path


def test_sds_is_what_archives_agree_on() -> None:
    assert path("sds", record()) == "2026/XX/DEMO/HHZ.D/XX.DEMO.00.HHZ.D.2026.325"
    assert path("sds", record(name="XX.DEMO..HHZ")) == "2026/XX/DEMO/HHZ.D/XX.DEMO..HHZ.D.2026.325"


def test_bud_is_what_ringserver_writes() -> None:
    assert path("bud", record()) == "XX/DEMO/DEMO.XX.00.HHZ.2026.325"


def test_the_first_sample_decides_the_day() -> None:
    late = record("2026-12-31T23:59:59.999999Z")
    assert late.end_ns > from_calendar(2027, 1, 0, 0, 0)
    assert path("sds", late).endswith("2026.365")


@pytest.mark.parametrize(
    ("letter", "text"),
    [
        ("n", "XX"),
        ("s", "DEMO"),
        ("l", "00"),
        ("c", "HHZ"),
        ("Y", "2026"),
        ("y", "26"),
        ("j", "325"),
        ("H", "05"),
        ("M", "06"),
        ("S", "07"),
        ("F", "8912"),
        ("D", "2027002"),
        ("q", "D"),
        ("L", "4096"),
        ("r", "63"),
        ("R", "62.500000"),
        ("%", "%"),
    ],
)
def test_every_letter_of_ringserver_is_known(letter: str, text: str) -> None:
    assert path(f"a/%n-%{letter}.b", record()) == f"a/XX-{text}.b"


def test_quality_of_miniseed_3_is_its_publication_version() -> None:
    assert path("%q", record(version=3)) == "1"


def test_a_letter_that_does_not_define_a_file_matches_any_text() -> None:
    found = ArchiveLayout("%n.[x]/%c.%Y:%j:#H:#M:#S##%%#c").path(record(), NOW_NS)
    two = "[0-9][0-9]"
    assert found == ArchivePath("XX.[x]/HHZ.2026:325:05:06:07#%HHZ", f"XX.[[]x]/HHZ.2026:325:{two}:{two}:{two}#%*")


def test_where_all_letters_define_the_file_the_key_is_its_path() -> None:
    found = ArchiveLayout("%n[1]/%s").path(record(), NOW_NS)
    assert found == ArchivePath("XX[1]/DEMO", "XX[1]/DEMO")


def test_paths_are_cached_for_a_bounded_number_of_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.archive.layout._MAX_CACHED", 3)
    layout = ArchiveLayout("%Y.%j")
    for day in [*range(10, 20), *range(15, 25)]:
        (run,) = as_runs([record(f"2026-11-{day:02d}T00:00:00Z")])
        assert [found.path for found, _ in layout.split(run, NOW_NS)] == [f"2026.{day + 304}"]
        assert len(layout._paths) <= 3


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("sdss", "'sdss' is not sds, bud or a pattern"),
        ("#n/#s", "is not sds, bud or a pattern"),
        ("%n/%x", "%x is unknown"),
        ("%n/#z", "#z is unknown"),
        ("%n/%", "% is unknown"),
        ("/%n", "not a path below"),
        ("%n/", "not a path below"),
        ("../%n", "not a path below"),
        ("%n//%s", "not a path below"),
        ("", "not a path below"),
    ],
)
def test_an_invalid_layout_is_refused(layout: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        ArchiveLayout(layout)


def test_a_header_letter_needs_a_header() -> None:
    with pytest.raises(InvalidValue, match="is not a miniSEED record"):
        path("%q", record()._replace(data=bytes(512)))
