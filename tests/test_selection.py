import pytest

from rawdaq.packet import Packet, StreamId
from rawdaq.selection import Selection, selection
from tests.makers import STREAM, packet

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
