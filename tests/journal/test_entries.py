"""Packets become entries and packets again; nothing of them is lost, and what is no entry is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue
from rawdaq.journal.entries import EntryEncoder, EntryUnreadable, Form, decode, number_of
from rawdaq.packet import Marks, Packet, PacketRun, SampleType
from rawdaq.store.values import MAX_STREAM_BYTES, Entry, Stored
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time
from tests.makers import START_NS, STREAM, packet

NOW_NS = START_NS + 5

streams = st.sampled_from([STREAM, StreamId("XX", "DEMO", "", "HHN"), StreamId("XX", "A-B", "10", "B_RAW_")])
dtypes = st.sampled_from([np.dtype(kind.value).newbyteorder(order) for kind in SampleType for order in ("<", ">")])
common = {
    "rate_hz": st.floats(1e-9, 1e9, allow_nan=False),
    "timing_quality": st.none() | st.integers(0, 100),
    "sequence": st.integers(0, 2**64 - 1),
    "received_ns": st.integers(-(2**63), 2**63 - 1),
}
marks = st.none() | st.builds(Marks, st.integers(0, 4), st.integers(0, 255), st.sampled_from(["", '{"a": "é"}']))


def stored(entry: Entry, position: int = 7) -> Stored:
    body = entry.head + (entry.body.tobytes() if isinstance(entry.body, np.ndarray) else bytes(entry.body))
    return Stored(position, entry.stream, entry.start_ns, entry.end_ns, body, entry.format, entry.facts)


def samples_of(dtype: np.dtype[Any], data: bytes) -> Any:
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize] or bytes(dtype.itemsize), dtype)


@given(
    streams,
    st.integers(-(2**63), 2**63 - 1),
    dtypes,
    st.binary(max_size=80),
    st.fixed_dictionaries({**common, "marks": marks}),
)
def test_a_packet_comes_back_as_it_was(
    stream: StreamId, start_ns: int, dtype: np.dtype[Any], data: bytes, more: dict[str, Any]
) -> None:
    samples = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype) if data else np.empty(0, dtype)
    before = Packet(stream, start_ns, more.pop("rate_hz"), samples, **more)
    entry = EntryEncoder().encode(before, 123, NOW_NS)
    number, after = decode(stored(entry))
    assert isinstance(after, Packet)
    assert after.marks == before.marks
    assert (number, after, after.dtype, bytes(after.data)) == (123, before, before.dtype, bytes(before.data))
    assert entry.start_ns == start_ns <= entry.end_ns <= max(start_ns, before.end_ns)


@given(streams, dtypes, st.integers(1, 5), st.integers(0, 4), st.data(), st.fixed_dictionaries(common))
def test_a_run_comes_back_as_it_was(
    stream: StreamId, dtype: np.dtype[Any], count: int, size: int, data: st.DataObject, more: dict[str, Any]
) -> None:
    raw = data.draw(st.binary(min_size=count * size * dtype.itemsize, max_size=count * size * dtype.itemsize))
    samples = (np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)).reshape(count, size)
    rate_hz = max(1e-3, more.pop("rate_hz"))
    starts_ns = [sample_time(START_NS, index * size, rate_hz) + index for index in range(count)]
    before = PacketRun(stream, starts_ns, rate_hz, samples, **more)
    number, after = decode(stored(EntryEncoder().encode(before, 9, NOW_NS)))
    assert isinstance(after, PacketRun)
    assert (number, list(after), after.dtype) == (9, list(before), before.dtype)
    assert not after.samples.flags.writeable


def test_plain_bytes_come_back_as_they_were() -> None:
    entry = EntryEncoder().encode(b"anything", 5, NOW_NS)
    assert (entry.start_ns, entry.end_ns) == (NOW_NS, NOW_NS)
    assert decode(stored(entry)) == (5, b"anything")
    assert number_of(stored(entry)) == 5


def test_a_packet_is_little_more_than_its_samples() -> None:
    entry = EntryEncoder().encode(packet(0, 100), 0, NOW_NS)
    assert entry.size_bytes == 25 + 400
    assert entry.facts == np.array([100.0]).tobytes() + b"<i4"


def test_what_a_store_cannot_hold_is_refused() -> None:
    encoder = EntryEncoder()
    long_name = StreamId("XX", "A", "", f"H_H_{'X' * MAX_STREAM_BYTES}")
    with pytest.raises(InvalidValue, match="more than 255 characters"):
        encoder.encode(packet(stream=long_name), 0, NOW_NS)
    with pytest.raises(InvalidValue, match="64 bits"):
        encoder.encode(packet().replace(start_ns=2**63), 0, NOW_NS)
    with pytest.raises(InvalidValue, match="64 bits"):
        encoder.encode(packet().replace(sequence=-1), 0, NOW_NS)
    with pytest.raises(InvalidValue, match="more than 4096 bytes"):
        encoder.encode(packet().replace(marks=Marks(headers="x" * 5000)), 0, NOW_NS)
    with pytest.raises(InvalidValue, match="are more than"):
        encoder.encode(bytes(65 << 20), 0, NOW_NS)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": b""},
        {"body": bytes(24)},
        {"format": 99},
        {"stream": "no stream"},
        {"facts": b""},
        {"facts": bytes(8) + b"<i4"},
        {"facts": np.array([1.0]).tobytes() + b"|O"},
        {"facts": np.array([1.0]).tobytes() + b"<f2"},
        {"facts": np.array([1.0]).tobytes() + b"<i4\0{"},
        {"facts": np.array([1.0]).tobytes() + b"<i4\0[1, 2, 3, 4]"},
        {"body": bytes(25 + 3)},
        {"format": int(Form.RUN)},
        {"format": int(Form.RUN), "body": bytes(25) + b"\xff\xff\xff\xff"},
    ],
)
def test_what_is_no_entry_of_a_journal_is_told(changes: dict[str, Any]) -> None:
    good = stored(EntryEncoder().encode(packet(0, 1), 0, NOW_NS))
    with pytest.raises(EntryUnreadable, match="position 7"):
        decode(good._replace(**changes))


def test_many_streams_are_told_apart_by_rate_and_type() -> None:
    encoder = EntryEncoder()
    facts = {encoder.encode(packet(0, 4, rate_hz=rate), 0, 0).facts for rate in (1.0, 100.0)}
    wide = packet(0, 4).replace(samples=np.zeros(4, ">f8"))
    assert len(facts | {encoder.encode(wide, 0, 0).facts}) == 3
