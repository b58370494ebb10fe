"""Files are read as a stream is: by iterating, synchronously or not, in order of time."""

import logging
from pathlib import Path

import pytest

import rawdaq
from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.replay.sources import FileRefused
from rawdaq.subscriber import Subscriber
from rawdaq.subscriber.files import FileSubscriber, NothingToRead
from tests.makers import START_NS, STREAM
from tests.waveform_makers import NORTH, noise, pairs, write

GIVEN = [noise(STREAM, START_NS, 3000), noise(NORTH, START_NS + 5 * 10**9, 2000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.mseed", GIVEN)


def test_every_sample_comes_and_packets_are_numbered(path: Path) -> None:
    with rawdaq.Subscriber.from_files(path) as subscriber:
        packets = list(subscriber)
        assert subscriber.has_ended
    for packet in GIVEN:
        own = [each for each in packets if each.stream == packet.stream]
        assert pairs(own, packet.stream) == pairs([packet], packet.stream)
        assert [each.sequence for each in own] == list(range(len(own)))
        assert subscriber.received[packet.stream] == len(own)
    assert [each.end_ns for each in packets] == sorted(each.end_ns for each in packets)
    assert {each.received_ns for each in packets} == {0}
    assert (subscriber.lost.total(), subscriber.malformed, subscriber.size_bytes) == (0, 0, 5000 * 4)
    assert not subscriber.is_live


async def test_every_sample_comes_without_blocking_the_loop(path: Path) -> None:
    async with Subscriber.from_files([path]) as subscriber:
        packets = [packet async for packet in subscriber]
    assert pairs(packets) == pairs(GIVEN)


def test_streams_are_chosen_and_renamed_and_packets_cut(path: Path) -> None:
    subscriber = Subscriber.from_files(str(path), "*.HHN", rename={"XX.*": "YY.*.*.*"}, packet_s=2.0)
    packets: list[Packet] = list(subscriber)
    assert {str(packet.stream) for packet in packets} == {"YY.DEMO.00.HHN"}
    assert [packet.samples.size for packet in packets] == [200] * 10
    subscriber.close()


def test_closed_one_gives_nothing(path: Path) -> None:
    subscriber = FileSubscriber(path)
    assert subscriber.receive() is not None
    subscriber.close()
    subscriber.close()
    assert subscriber.receive(1.0) is None
    unopened = FileSubscriber(path)
    unopened.close()
    assert list(unopened) == []


def test_what_cannot_be_read_is_told_and_passed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty = path.with_name("empty.mseed")
    empty.touch()
    with FileSubscriber([path.parent], logger=logging.getLogger("mine")) as subscriber:
        assert pairs(list(subscriber)) == pairs(GIVEN)
    assert subscriber.paths == [path]
    assert subscriber.problems.files == {empty: f"{empty} is empty"}
    assert caplog.record_tuples == [("mine", logging.WARNING, f"{empty} is empty; skipped")]
    with pytest.raises(FileRefused, match="is empty"):
        Subscriber.from_files(path.parent, is_strict=True).open()


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match=r"no waveforms to read in .*absent"), FileSubscriber(tmp_path / "absent"):
        pass
    with pytest.raises(InvalidValue):
        FileSubscriber([])


def test_pattern_that_can_name_no_stream_is_refused_unless_streams_are_renamed(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"'xx\.\*' can name no stream"):
        FileSubscriber(tmp_path, "xx.*")
    assert FileSubscriber(tmp_path, "xx.*", rename={"xx.*": "XX.*.*.*"}).streams == ("xx.*",)


def test_streams_that_are_passed_over_are_known(path: Path) -> None:
    with FileSubscriber(path, "*.HHN") as subscriber:
        assert pairs(list(subscriber)) == pairs(GIVEN[1:])
        assert subscriber.passed_over == ["XX.DEMO.00.HHZ"]


def test_live_one_is_live() -> None:
    subscriber = Subscriber()
    assert subscriber.is_live
    assert not subscriber.has_ended
