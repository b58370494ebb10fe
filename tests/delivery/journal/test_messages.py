"""A journal keeps messages as it keeps packets: none is lost, none comes twice, none breaks those without use."""

from pathlib import Path

import numpy as np
import pytest

from rawdaq.journal.entries import EntryEncoder, EntryUnreadable, Form, decode
from rawdaq.messages.message import Kind
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.raw_writer import RawWriter
from rawdaq.store.values import Entry, Stored
from rawdaq.subscriber.journal import JournalReader
from tests.helpers import until
from tests.journals import MustKeep, MustKeepRecords, journalled, kill_appending
from tests.makers import message, packet

MESSAGES = [message(index, payload=bytes([index] * index)).published(index, "T", 100 + index) for index in range(4)]


class MustKeepMessages(MustKeep):
    takes_messages = True


def stored(entry: Entry) -> Stored:
    body = entry.head + bytes(entry.body)
    return Stored(7, entry.stream, entry.start_ns, entry.end_ns, body, entry.format, entry.facts)


def test_a_message_comes_back_as_it_was() -> None:
    for each in MESSAGES:
        entry = EntryEncoder().encode(each, 3, 55)
        assert (entry.stream, entry.start_ns, entry.format) == (each.topic, 55, Form.MESSAGE)
        assert decode(stored(entry)) == (3, each)


def test_an_entry_that_is_no_message_is_refused() -> None:
    entry = EntryEncoder().encode(MESSAGES[0], 0, 5)
    whole = entry.head + bytes(entry.body)
    a_list = whole[:25] + b"\3\0\0\0[1]"
    for body in (whole[:20], whole[:27], whole.replace(b'{"rawdaq"', b'["rawdaq"'), a_list):
        with pytest.raises(EntryUnreadable):
            decode(stored(entry._replace(head=b"", body=body)))


async def test_messages_survive_a_kill_and_come_once(tmp_path: Path) -> None:
    away = MustKeepMessages("store", [PublisherUnavailable("away")] * 1000)
    async with journalled(tmp_path, [away], is_killed=True) as fanout:
        fanout.put_messages(MESSAGES[:2])
        fanout.put([packet(0)])
        fanout.put_messages(MESSAGES[2:])
        await fanout.journal.drain()  # type: ignore[union-attr]
    async with journalled(tmp_path, [back := MustKeepMessages("store")]):
        await until(lambda: len(back.kept) == 5)
    assert back.kept == [*MESSAGES[:2], packet(0), *MESSAGES[2:]]
    async with journalled(tmp_path, [again := MustKeepMessages("store")]):
        pass
    assert not again.kept


async def test_publishers_without_use_for_messages_go_past_them_in_the_journal(tmp_path: Path) -> None:
    packets, records, chosen = MustKeep("packets"), MustKeepRecords("records"), MustKeepMessages("chosen")
    chosen.kinds = [Kind.LOG]
    publishers = [packets, records, chosen]
    async with journalled(tmp_path, publishers) as fanout:
        fanout.put_messages(MESSAGES)
        fanout.put([packet(0)])
        fanout.put_messages([message(9, "~log")])
        await until(lambda: len(chosen.kept) == 2 and len(packets.kept) == 1)
    assert chosen.kept == [packet(0), message(9, "~log")]
    status = {name: shown["passed_over"] for name, shown in fanout.status().items()}
    assert status == {"packets": 5, "records": 5, "chosen": 0}
    with JournalReader(tmp_path) as reader:
        assert (len(list(reader)), reader.messages.total()) == (
            1,
            1,
        )  # an event is wanted by none of them, so it is not there
    again = [MustKeep("packets"), MustKeepRecords("records"), MustKeepMessages("chosen")]
    async with journalled(tmp_path, again):
        pass
    assert [each.kept for each in again] == [[], [], []]


async def test_the_raw_writer_writes_payloads_once_also_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    path = tmp_path / "payloads"
    killed = RawWriter(path, fsync_s=3600)
    async with journalled(tmp_path / "journal", [killed], is_killed=True) as fanout:
        fanout.put_messages(MESSAGES)
        await until(lambda: path.exists() and path.stat().st_size == 6)
    await kill_appending(killed)
    async with journalled(tmp_path / "journal", [RawWriter(path, fsync_s=3600)]) as fanout:
        fanout.put_messages([message(4, payload=b"end")])
    assert path.read_bytes() == b"\x01\x02\x02\x03\x03\x03end"


async def test_the_reader_of_waveforms_leaves_messages_out(tmp_path: Path) -> None:
    async with journalled(tmp_path, [MustKeepMessages("store")]) as fanout:
        fanout.put_messages(MESSAGES)
        fanout.put([packet(0)])
    with JournalReader(tmp_path) as reader:
        assert [np.array_equal(each.samples, packet(0).samples) for each in reader] == [True]
        assert (reader.messages.total(), reader.malformed) == (4, 0)
