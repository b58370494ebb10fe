import weakref

import numpy as np
import numpy.typing as npt
import pytest

from rawdaq.delivery.fanout import Fanout
from rawdaq.delivery.selection import Selection, selection
from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId, check_patterns
from rawdaq.times import NS_PER_S
from tests.fanouts import LOG, Keeper, RecordKeeper, running
from tests.makers import START_NS, STREAM, packet

OTHER = StreamId("XX", "DEMO", "00", "HHN")


def test_what_a_pattern_names_passes_and_plain_bytes_always_do() -> None:
    chosen = Selection(["*.HHZ", "YY.*"])
    items: list[Packet | bytes] = [packet(0), packet(0, stream=OTHER), b"plain", packet(1)]
    assert chosen.of(items) == [packet(0), b"plain", packet(1)]


def test_a_stream_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[StreamId] = []

    def matches(stream: StreamId, _patterns: object) -> bool:
        asked.append(stream)
        return stream == STREAM

    monkeypatch.setattr(StreamId, "matches", matches)
    chosen = Selection(["*"])
    for index in range(3):
        assert chosen.of([packet(index), packet(index, stream=OTHER)]) == [packet(index)]
    assert asked == [STREAM, OTHER]


def test_together_several_get_what_any_of_them_wants() -> None:
    both = selection([["*.HHZ"], ["*.HHN"]])
    assert both is not None
    items = [packet(0), packet(0, stream=OTHER), packet(0, stream=StreamId("XX", "DEMO", "00", "HHE"))]
    assert both.of(items) == items[:2]
    assert selection([["*.HHZ"], []]) is None
    assert selection([[]]) is None


def put_one_read(fanout: Fanout, index: int) -> "weakref.ref[npt.NDArray[np.int32]]":
    """Put a run and a packet of each of two streams that lie in the same memory; return that."""
    memory = np.arange(80, dtype="<i4").reshape(8, 10).copy()  # so that the samples are views of it
    starts_ns = [START_NS + (4 * index + turn) * NS_PER_S // 10 for turn in range(4)]
    items: list[Packet | PacketRun | bytes] = []
    for place, stream in enumerate((STREAM, OTHER)):
        items.append(PacketRun(stream, starts_ns[:3], 100.0, memory[place:6:2]))
        items.append(Packet(stream, starts_ns[3], 100.0, memory[6 + place]))
    fanout.put(items)
    return weakref.ref(memory)


@pytest.mark.parametrize("kind", [Keeper, RecordKeeper])
async def test_what_waits_of_a_selection_keeps_one_read_in_memory_at_most(kind: type[Keeper]) -> None:
    keeper = kind()
    keeper.streams = ["*.HHZ"]
    fanout = Fanout([keeper], LOG)
    reads = [put_one_read(fanout, index) for index in range(5)]
    assert sum(read() is not None for read in reads) <= 1
    async with running(fanout):
        await fanout.drain(10.0)
    if kind is RecordKeeper:
        assert sum(record.sample_count for record in keeper.kept) == 200
    else:
        assert [each.samples[0] for each in keeper.kept] == 5 * [0, 20, 40, 60]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*", "XX.DEMO.00.HHZ"),
        ("XX.*", "XX.DEMO..HHZ"),
        ("*HHZ", "XX.DEMO.00.HHZ"),
        ("HHZ*", "HHZ.DEMO.00.BHZ"),
        ("*J*", "XX.AE.00.J_RAW_Z"),
        ("*.00.*", "XX.00.01.HHZ"),
        ("XX?DEMO[!A]00.HH[ZNE]", "XX.DEMO.00.HHE"),
        ("XX.A-1.[]0][0-9].HHZ", "XX.A-1.00.HHZ"),
        ("XX.DEMO..???", "XX.DEMO..HHZ"),
    ],
)
def test_a_pattern_that_names_some_stream_is_right(pattern: str, name: str) -> None:
    assert StreamId.parse(name).matches([pattern])
    check_patterns([pattern])


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "HHZ",
        "HH?",
        "DEMO.00.HHZ",
        "xx.*",
        "*.hhz",
        "XX.*.*.*.*",
        "XX.[a-z]*",
        "XX.DEMO.[.HHZ",
        "FDSN:*",
        "XX DEMO *",
    ],
)
def test_a_pattern_that_can_name_no_stream_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidValue, match="can name no stream"):
        check_patterns(["*", pattern])
