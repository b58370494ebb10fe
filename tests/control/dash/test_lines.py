"""The lines: what fits in which width, traces, and all about one."""

import numpy as np
import pytest

from rawdaq.control.dash import detail
from rawdaq.control.dash.rows import ListLines, Look, summary, table
from rawdaq.control.dash.values import trace
from rawdaq.control.dash.values.board import Board, Component, Stream
from rawdaq.control.dash.values.trace import Traces, braille
from rawdaq.control.dash.view import View
from rawdaq.times import NS_PER_S
from tests.control.dash.made import NOW_NS, component, many, packet

BROKEN = component(
    "Broken",
    "failed",
    since_ns=NOW_NS - 3600 * NS_PER_S,
    number=1000,
    reasons=("the device does not answer\n\x1b[2Jat all, and that for a long time",),
)
WELL = component(
    "Well",
    since_ns=NOW_NS - 5 * NS_PER_S,
    items_per_s=3.0,
    latency_s=0.0123,
    gaps=0,
    dropped=0,
    waiting=4,
    has_data=True,
)


@pytest.mark.parametrize("width", [1, 5, 20, 39, 40, 79, 80, 110, 200])
def test_nothing_is_wider_than_the_screen(width: int) -> None:
    board = Board(NOW_NS, (BROKEN, WELL, *many(3)), notes=("a note",))
    stream = Stream("XX.LONGNAME.00.HHZ", "DEMO/Well", 100.0, 0.1, 0.2, None, 1, 0, "", "")
    look = Look(width, NOW_NS, traces=Traces())
    views = [View(board), View(board, is_of_streams=True)]
    lines = [summary(board, width, ["by worst"])]
    for view in views:
        view.renew()
        lines += [view.header(look), *view.lines(look, 20)]
    lines += detail.of_component(BROKEN, look)[3:]
    if width >= 20:
        lines += detail.of_stream(stream, look, 20) + detail.of_component(WELL, look)
        assert max(line.cell_len for line in lines) <= width


def test_a_line_at_80_columns_has_all_numbers_and_the_reason_below() -> None:
    lines = [line.plain.rstrip() for line in table(Board(NOW_NS), [BROKEN, WELL], 80)]
    assert lines == [
        "  component   state       since rate/s latency  gaps drops  queue data",
        "✖ DEMO/Broken failed   11:00:00      -       -     -     -      -    -",
        "    the device does not answer [2Jat all, and that for a long time",
        "● DEMO/Well   running  11:59:55   3.00   12 ms     0     0      4  yes",
    ]


def test_at_20_columns_the_name_and_the_state_by_its_mark_are_left() -> None:
    lines = [line.plain.rstrip() for line in table(Board(NOW_NS), [BROKEN, WELL], 20)]
    assert lines == ["  component", "✖ DEMO/Broken", "    the device does…", "● DEMO/Well"]


def test_a_wide_line_has_the_reason_in_itself() -> None:
    _, line = (line.plain for line in table(Board(NOW_NS), [BROKEN], 120))
    assert "the device does not answer [2Jat all" in line


@pytest.mark.parametrize(
    ("state", "number", "symbol"),
    [
        ("running", 0, "●"),
        ("running", 300, "●"),
        ("running", 800, "!"),
        ("paused", 750, "‖"),
        ("offline", 900, "○"),
        ("hung", 950, "✖"),
        ("unknown", 950, "?"),
        ("something new", 900, "?"),
    ],
)
def test_marks(state: str, number: int, symbol: str) -> None:
    lines = ListLines([component(state=state, number=number)], Look(80, NOW_NS), is_of_streams=False).lines(0)
    assert lines[0].plain[0] == symbol


def test_the_summary_counts_states_the_worst_first() -> None:
    components = (WELL, component(number=800), BROKEN, component(state="offline", number=900))
    assert summary(Board(NOW_NS, components), 100).plain == (
        "12:00:00 UTC  1 failed  1 offline  1 trouble  1 running  0 streams"
    )
    assert summary(Board(NOW_NS), 60).plain.startswith("12:00:00 UTC  no components")


def test_a_trace_is_drawn_as_dots() -> None:
    square = np.array([[0, 0]] * 4 + [[9, 9]] * 4, np.float32)
    assert braille(square, 4) == ["⣀⣀⠉⠉"]
    assert braille(square, 2, 2) == ["⠀⠉", "⣀⠀"]  # columns that are joined show all that is in them
    assert braille(np.full((8, 2), 5, np.float32), 2) == ["⠤⠤"]
    assert braille(np.full((8, 2), np.nan, np.float32), 2) == ["⠀⠀"]
    assert braille(square, 8)[0] == "⣀⣀⣀⣀⠉⠉⠉⠉"  # more dots than columns
    spike = np.array([[0, 0], [0, np.inf], [0, 0], [0, 1]], np.float32)
    assert braille(spike, 2) == ["⡀⣸"]  # what is infinite is not drawn


def test_the_last_minute_moves_on_also_without_packets() -> None:
    traces = Traces()
    for second in range(3):
        traces.add(packet("XX.A.00.HHZ", second, 1, 2, 3, 4), now_s=100.0 + second)
    found = traces.get("XX.A.00.HHZ")
    assert found is not None
    assert found.rate_hz == 4.0
    assert found.latency_s == pytest.approx(1.25)
    fresh = found.window(102.0)
    assert fresh.shape == (240, 2)
    assert fresh[-12:, 0].tolist() == [1, 2, 3, 4] * 3
    assert np.isnan(fresh[:-12]).all()
    later = found.window(132.0)
    assert not np.isnan(later[-128:-116]).any()
    assert np.isnan(later[-116:]).all()
    assert np.isnan(found.window(1000.0)).all()


def test_a_clock_that_was_set_begins_a_trace_anew() -> None:
    traces = Traces()
    for second in (0, 100_000, 1):
        traces.add(packet("XX.A.00.HHZ", second, second), now_s=0.0)
        found = traces.get("XX.A.00.HHZ")
        assert found is not None
        assert found.window(0.0)[-1].tolist() == [second, second]


def test_there_are_no_more_traces_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_TRACES", 1)
    traces = Traces()
    for name in ("XX.A.00.HHZ", "XX.B.00.HHZ", "XX.A.00.HHZ"):
        traces.add(packet(name, 0, 1), 0.0)
    traces.add(packet("XX.A.00.HHZ", 1), 0.0)  # without a sample
    assert (traces.names(), traces.left_out) == (["XX.A.00.HHZ"], 1)


def streams_of(item: Component, look: Look) -> str:
    return "\n".join(line.plain for line in detail.of_component(item, look))


def test_a_stream_has_its_trace_or_says_why_there_is_none() -> None:
    traces = Traces()
    traces.add(packet("XX.A.00.HHZ", 0, *range(40)), 0.0)
    streams = (Stream("XX.A.00.HHZ"), Stream("XX.B.00.HHZ", note="it has no live publisher"), Stream("XX.C.00.HHZ"))
    text = streams_of(component(streams=streams), Look(80, NOW_NS, 0.0, traces))
    assert any(0x2801 <= ord(each) <= 0x28FF for each in text)
    assert "it has no live publisher" in text
    assert "no packet yet" in text


def test_all_about_a_component() -> None:
    said = {"publishers": {"live": {"state": "paused", "delivered": 5, "waiting": 1, "dropped": 0, "refused": 2}}}
    item = component(
        host="hut",
        pid=12,
        since_ns=NOW_NS - 60 * NS_PER_S,
        restarted_ns=NOW_NS - 60 * NS_PER_S,
        last_error="a cable is broken",
        last_error_seen_ns=NOW_NS - 90 * NS_PER_S,
        cpu_percent=1.25,
        memory_bytes=64_000_000,
        said=said,
    )
    text = streams_of(item, Look(100, NOW_NS))
    for each in (
        "last error: a cable is broken",
        "restarted 2026-11-21T11:59:00Z, 1 min 0 s ago",
        "pid 12, on hut, 1.2 % of a core, 64.0 MB",
        "publisher live: paused, delivered 5, waiting 1, dropped 0, refused 2",
    ):
        assert each in text
    assert "XX" not in streams_of(component(), Look(100, NOW_NS))


def test_all_about_a_stream() -> None:
    traces = Traces()
    traces.add(packet("XX.A.00.HHZ", 0, -7, 900), 0.0)
    item = Stream("XX.A.00.HHZ", "DEMO/A", 100.0, 0.5, 3.0, 40.0, 2, 800, "XX.A.00.HHZ silent for 40.0 s")
    lines = [line.plain for line in detail.of_stream(item, Look(40, NOW_NS, 0.0, traces), 24)]
    text = "\n".join(lines)
    assert "! XX.A.00.HHZ silent for 40.0 s" in text
    assert "silent for 40.0 s" in text
    assert (lines[-10], lines[-1]) == ("900", "-7    last 60 s")
    assert detail.find(Board(NOW_NS, (), (item,)), "XX.A.00.HHZ") is item
    assert detail.find(Board(), "XX.A.00.HHZ") is None


def test_the_cursor_stays_on_its_item_and_is_always_seen() -> None:
    view, look = View(), Look(80, NOW_NS)
    components = many(300)
    view.renew(Board(NOW_NS, components))
    assert view.chosen is components[-1]  # the worst is the first
    view.move(150)
    chosen = view.chosen
    assert chosen is not None
    for height in (1, 5, 40):
        assert chosen.name in "\n".join(line.plain for line in view.lines(look, height))
    view.words = chosen.name
    view.renew()
    assert (len(view.items), view.chosen) == (1, chosen)
    view.words = ""
    view.renew(Board(NOW_NS, components[::-1]))
    assert view.chosen is chosen
    view.move(10_000)
    assert view.chosen is view.items[-1]
    assert len(view.lines(look, 40)) == 40  # a full screen
    view.renew(Board(NOW_NS, components[:2]))  # the others are gone
    assert view.chosen in view.items
    view.renew(Board(NOW_NS))
    assert view.chosen is None
    assert view.component is None
    assert not view.lines(look, 5)


def test_a_click_finds_the_item_also_below_a_reason() -> None:
    view, look = View(), Look(80, NOW_NS)
    view.renew(Board(NOW_NS, (BROKEN, WELL)))
    assert view.at_line(1, look)
    assert view.chosen is BROKEN
    assert view.at_line(2, look)
    assert view.chosen is WELL
    assert not view.at_line(3, look)


def test_the_line_at_the_cursor_is_reversed_as_a_whole() -> None:
    view, look = View(), Look(80, NOW_NS)
    view.renew(Board(NOW_NS, (BROKEN, WELL)))
    first, reason, second = view.lines(look, 10)
    assert (first.style, first.spans, len(first)) == ("reverse", [], 80)
    assert (reason.style, second.style) == ("yellow", "")
