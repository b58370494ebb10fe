"""A journal is read like a stream, also while it is written."""

import logging
from pathlib import Path

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.journal.entries import EntryEncoder
from rawdaq.journal.folder import is_journal, report
from rawdaq.store.store import Store
from rawdaq.store.values import Entry
from rawdaq.subscriber.journal import JournalReader
from tests.fanouts import HHN
from tests.makers import START_NS, STREAM, packet


def fill(store: Store, count: int, first: int = 0) -> None:
    encoder = EntryEncoder()
    for index in range(first, first + count):
        item = packet(index, stream=(STREAM, HHN)[index % 2], sequence=index, received_ns=7, timing_quality=50)
        store.append([encoder.encode(item, index, START_NS)])


def test_packets_come_as_they_were_up_to_the_end(tmp_path: Path) -> None:
    with Store(tmp_path / "journal") as store:
        fill(store, 10)
        store.append([EntryEncoder().encode(b"plain", 10, START_NS)])
        with JournalReader(tmp_path / "journal") as reader:
            first = [next(reader) for _ in range(4)]
            fill(store, 3, 10)
            packets = first + list(reader)
    assert [each.sequence for each in packets] == list(range(13))
    assert packets[3] == packet(3, stream=HHN, sequence=3, received_ns=7, timing_quality=50)
    assert (reader.has_ended, reader.malformed, reader.received.total()) == (True, 1, 13)


def test_patterns_select_streams(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        fill(store, 6)
    with JournalReader(tmp_path, "*.HHN") as reader:
        assert {each.stream for each in reader} == {HHN}
    assert reader.passed_over == [str(STREAM)]


def test_what_is_damaged_is_told_and_the_rest_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store(tmp_path) as store:
        fill(store, 5)
        store.append([Entry("XX.A..HHZ", 0, 0, b"none of ours", 77)])
        fill(store, 5, 5)
    (segment,) = tmp_path.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(bytes(packet(3).samples.tobytes()[:40])) + 4] ^= 1
    segment.write_bytes(data)
    with caplog.at_level(logging.WARNING), JournalReader(tmp_path) as reader:
        found = [each.sequence for each in reader]
    assert reader.lost == {HHN: 1}
    assert found == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert "lost 1 entries of XX.DEMO.00.HHN" in caplog.text
    assert "cannot be read: its format 77 is not known" in caplog.text


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    assert not is_journal(tmp_path)
    assert not is_journal(tmp_path / "none")
    with pytest.raises(InvalidValue, match="there is no journal in"):
        JournalReader(tmp_path).open()


def test_a_report_says_how_far_publishers_are(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        first = store.next_position
        store.move_cursor("archive", first + 4)
        store.move_cursor("pipe", first + 10)
        store.move_cursor("source", None)
        fill(store, 10)
    found = report(tmp_path)
    assert (found.oldest_position, found.next_position) == (first, first + 10)
    assert (found.oldest_ns, found.newest_ns) == (packet(0).start_ns, packet(9).end_ns)
    assert found.cursors.keys() == {"archive", "pipe"}
    assert (found.cursors["archive"].behind_packets, found.cursors["pipe"].behind_packets) == (6, 0)
    assert found.cursors["archive"].behind_s == pytest.approx(5.99)
    assert found.streams[str(STREAM)].entries == 5
    assert found.size_bytes > 4000
