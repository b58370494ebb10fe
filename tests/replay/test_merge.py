"""The samples of many files come as packets in order of time, each once, in little memory."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.miniseed.file import Extent, RecordFile
from rawdaq.packet import Packet
from rawdaq.replay import merge as replay_merge
from rawdaq.replay.merge import BEGINNING_NS, MAX_PACKET_SAMPLES, Merge
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Piece, Problems, Source, Unloaded, open_source
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time
from tests.makers import START_NS, STREAM
from tests.waveform_makers import EAST, NORTH, noise, pairs, records, write

S = NS_PER_S


class Given(Source):
    """A source of given pieces, in parts."""

    def __init__(self, *parts: Sequence[Piece | None]) -> None:
        starts = [piece.start_ns for part in parts for piece in part if piece]
        super().__init__(Path("given"), Extent(min(starts), max(starts)), StreamNames(), Problems(print))
        self._given = parts
        self.loaded = 0

    def _parts(self, begin_ns: int) -> list[Iterator[Unloaded]]:
        return [map(self._unloaded, part) for part in self._given]

    def _unloaded(self, piece: Piece | None) -> Unloaded:
        def load() -> Piece | None:
            self.loaded += 1
            return piece

        return Unloaded(piece.start_ns if piece else START_NS, piece.samples.nbytes if piece else 0, load)


def piece(
    start: float = 0.0,
    size: int = 100,
    *,
    stream: StreamId = STREAM,
    rate_hz: float = 100.0,
    quality: int | None = None,
    first: int = 0,
    dtype: str = "int32",
) -> Piece:
    """Return samples that count up from *first*, *start* seconds after the beginning."""
    samples = np.arange(first, first + size).astype(dtype)
    return Piece(stream, START_NS + round(start * S), rate_hz, samples, quality)


def merged(*pieces: Piece | None, packet_s: float = 1.0, begin_ns: int = BEGINNING_NS) -> list[Packet]:
    return [each for each in Merge([Given(pieces)], packet_s, begin_ns) if isinstance(each, Packet)]


def shape(packets: Sequence[Packet]) -> list[tuple[float, int]]:
    """Return start in seconds after the beginning and number of samples of each packet."""
    return [((packet.start_ns - START_NS) / S, packet.samples.size) for packet in packets]


def test_pieces_become_packets_of_equal_length() -> None:
    packets = merged(piece(0, 250), piece(2.5, 120, first=250), piece(3.7, 55, first=370))
    assert shape(packets) == [(0, 100), (1, 100), (2, 100), (3, 100), (4, 25)]
    assert [value for _, value in pairs(packets)] == list(range(425))


def test_packets_may_be_longer_than_pieces() -> None:
    packets = merged(*(piece(index / 10, 10, first=index * 10) for index in range(25)))
    assert shape(packets) == [(0, 100), (1, 100), (2, 50)]
    assert [value for _, value in pairs(packets)] == list(range(250))


def test_pieces_can_stay_as_they_are() -> None:
    assert shape(merged(piece(0, 250), piece(2.5, 120), packet_s=0)) == [(0, 250), (2.5, 120)]
    (first, second) = merged(piece(0, MAX_PACKET_SAMPLES + 5), packet_s=0)
    assert (first.samples.size, second.samples.size) == (MAX_PACKET_SAMPLES, 5)


def test_packets_of_slow_streams_have_a_sample_at_least() -> None:
    assert shape(merged(piece(0, 3, rate_hz=0.1))) == [(0, 1), (10, 1), (20, 1)]


def test_gap_ends_a_packet() -> None:
    packets = merged(piece(0, 130), piece(5, 130, first=500))
    assert shape(packets) == [(0, 100), (1, 30), (5, 100), (6, 30)]


@pytest.mark.parametrize(
    "second",
    [piece(1.3, 70, rate_hz=50.0), piece(1.3, 70, dtype="float32"), piece(1.300_002, 70), piece(1.299_998, 70)],
)
def test_packet_holds_nothing_that_is_not_alike_to_the_microsecond(second: Piece) -> None:
    packets = merged(piece(0, 130), second)
    assert [packet.samples.size for packet in packets[:2]] == [100, 30]
    assert packets[2].start_ns == second.start_ns
    assert (packets[2].rate_hz, packets[2].samples.dtype) == (second.rate_hz, second.samples.dtype)


def test_rounding_of_times_to_microseconds_is_no_gap() -> None:
    pieces = [
        piece(0, 100, rate_hz=300.0)._replace(start_ns=sample_time(START_NS, index * 100, 300.0) // 1000 * 1000)
        for index in range(9)
    ]
    assert [packet.samples.size for packet in merged(*pieces)] == [300, 300, 300]


def test_packet_has_time_and_quality_of_the_piece_in_which_it_begins() -> None:
    second = piece(1.5, 150, quality=20)._replace(start_ns=START_NS + 1_500_000_900)
    packets = merged(piece(0, 150, quality=80), second)
    assert [packet.timing_quality for packet in packets] == [80, 80, 20]
    assert [packet.start_ns - START_NS for packet in packets] == [0, S, 2 * S + 900]


def test_streams_are_in_order_of_their_last_samples() -> None:
    first, second = piece(0, 1000), piece(0.25, 1000, stream=NORTH)
    packets = list(Merge([Given([first]), Given([second])], 1.0))
    assert [packet.stream.channel for packet in packets] == ["HHZ", "HHN"] * 10
    assert [packet.end_ns for packet in packets] == sorted(packet.end_ns for packet in packets)


def test_streams_that_lie_one_after_the_other_come_together(tmp_path: Path) -> None:
    given = [noise(stream, START_NS, 60_000) for stream in (STREAM, NORTH, EAST)]
    path = tmp_path / "a"
    path.write_bytes(b"".join(record for packet in given for record in records([packet])))
    source = open_source(path, StreamNames(), Problems(print))
    assert source is not None
    packets = list(Merge([source], 1.0))
    assert [packet.end_ns for packet in packets] == sorted(packet.end_ns for packet in packets)
    assert [{packet.stream for packet in packets[at : at + 3]} for at in (0, 300, 900)] == [{STREAM, NORTH, EAST}] * 3
    for packet in given:
        assert pairs(packets, packet.stream) == pairs([packet], packet.stream)


def test_a_piece_that_turns_out_to_be_none_is_passed() -> None:
    assert shape(merged(piece(0), None, piece(1))) == [(0, 100), (1, 100)]


def test_pieces_out_of_order_come_in_order() -> None:
    pieces = [piece(second, 100, first=second * 100) for second in range(50)]
    random.Random(1).shuffle(pieces)
    packets = merged(*pieces)
    assert shape(packets) == [(second, 100) for second in range(50)]


def test_overlapping_pieces_both_come() -> None:
    packets = merged(piece(0, 250), piece(0.5, 250, first=1000), piece(0.5, 10, first=5000))
    assert sorted(pairs(packets)) == sorted(
        pairs([Packet(*each[:5]) for each in (piece(0, 250), piece(0.5, 250, first=1000), piece(0.5, 10, first=5000))])
    )


def test_what_is_later_than_its_window_comes_late_and_not_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_merge, "_WINDOW_BYTES", 1600)
    monkeypatch.setattr(replay_merge, "_MIN_WINDOW_BYTES", 800)
    pieces = [piece(second, 100, first=second * 100) for second in [*range(1, 20), 0]]
    packets = merged(*pieces)
    assert sorted(pairs(packets)) == sorted(pairs([Packet(*each[:5]) for each in pieces]))
    assert shape(packets)[-5:].count((0, 100)) == 1


def test_little_is_read_before_the_first_packet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_merge, "_WINDOW_BYTES", 1 << 16)
    path = write(tmp_path / "a", [noise(size=2_000_000)])
    read, real = [0], RecordFile.read

    def counted(file: RecordFile, offset: int, size: int) -> bytes:
        data = real(file, offset, size)
        read[0] += len(data)
        return data

    monkeypatch.setattr(RecordFile, "read", counted)
    source = open_source(path, StreamNames(), Problems(print))
    assert source is not None
    merge = Merge([source], 1.0)
    assert next(merge).start_ns == START_NS
    assert path.stat().st_size > 2_400_000
    assert read[0] < 900_000
    assert sum(packet.samples.size for packet in merge if isinstance(packet, Packet)) == 2_000_000 - 100


def test_a_window_holds_a_few_pieces_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_merge, "_WINDOW_BYTES", 4000)
    monkeypatch.setattr(replay_merge, "_MIN_WINDOW_BYTES", 800)
    given = Given([piece(second, 100) for second in range(1000)])
    merge = Merge([given], 1.0)
    for _ in range(100):
        next(merge)
    assert given.loaded <= 102


def test_a_source_is_opened_when_its_time_has_come() -> None:
    early, late = Given([piece(0, 1000)]), Given([piece(20, 1000)])
    merge = Merge([late, early], 1.0)
    for _ in range(9):
        next(merge)
    assert (early.loaded, late.loaded) == (1, 0)
    assert len(list(merge)) == 11
    assert late.loaded == 1


@pytest.mark.parametrize("begin", [0.0, 0.005, 1.0, 1.49, 1.495, 2.0, 5.25, 9.99])
def test_play_can_begin_at_any_time(begin: float) -> None:
    pieces = [piece(0, 150), piece(1.5, 350, first=150), piece(5, 500, first=500)]
    begin_ns = START_NS + round(begin * S)
    every = pairs([Packet(*each[:5]) for each in pieces])
    assert pairs(merged(*pieces, begin_ns=begin_ns)) == [pair for pair in every if pair[0] >= begin_ns]


def test_play_that_begins_after_the_end_is_empty() -> None:
    assert merged(piece(0, 100), begin_ns=START_NS + S) == []


def test_batches_are_limited_by_number_and_size() -> None:
    merge = Merge([Given([piece(0, 1000)])], 1.0)
    assert len(merge.batch(3, 10**9)) == 3
    assert len(merge.batch(100, 900)) == 3
    assert len(merge.batch(100, 10**9)) == 4
    assert merge.batch(100, 10**9) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(1, 300),
            st.sampled_from([STREAM, NORTH]),
            st.sampled_from([100.0, 62.5, 1 / 3]),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([0.0, 0.01, 1.0, 7.7]),
    st.integers(1, 4),
)
def test_every_sample_comes_once_at_its_time(
    drawn: list[tuple[int, int, StreamId, float]], packet_s: float, parts: int
) -> None:
    pieces = [
        piece(start / 100, size, stream=stream, rate_hz=rate_hz, first=number * 1000)
        for number, (start, size, stream, rate_hz) in enumerate(drawn)
    ]
    split = [part for part in (pieces[index::parts] for index in range(parts)) if part]
    packets = list(Merge([Given(*split)], packet_s))
    for stream in (STREAM, NORTH):
        came = sorted((value, time) for time, value in pairs(packets, stream))
        assert [value for value, _ in came] == sorted(
            value for each in pieces if each.stream == stream for value in each.samples.tolist()
        )
        made = sorted((value, time) for time, value in pairs([Packet(*each[:5]) for each in pieces], stream))
        assert all(abs(one[1] - two[1]) < 1000 for one, two in zip(came, made, strict=True))
