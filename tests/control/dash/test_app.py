"""The screen, driven by keys as a person does it, without a terminal."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.geometry import Offset
from textual.pilot import Pilot

from rawdaq.control.dash import app as app_module
from rawdaq.control.dash.app import Dash, Lines
from rawdaq.control.dash.source import LogLine
from rawdaq.control.dash.values.board import Component, Order, Stream
from rawdaq.errors import InvalidValue
from rawdaq.times import NS_PER_S
from tests.control.dash.made import NOW_NS, Given, component, many, packet
from tests.helpers import until

OFFLINE = component("Gone", "offline", since_ns=NOW_NS - 3600 * NS_PER_S, number=900, reasons=("it is offline",))
ONLINE = component(
    "Here",
    streams=(Stream("XX.HERE.00.HHZ", "DEMO/Here", 100.0, 0.01, 0.5, None, 0), Stream("XX.HERE.00.HHN", "DEMO/Here")),
    items_per_s=3.0,
    has_data=True,
)


class Seen:
    """A dashboard that a test looks at.

    Attributes:
        app: it.
        source: what it shows.
        pilot: presses keys.
    """

    def __init__(self, app: Dash, source: Given, pilot: Pilot[None]) -> None:
        self.app, self.source, self.pilot = app, source, pilot

    def text(self) -> str:
        """Return what is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def see(self, *texts: str, never: str = "\0") -> str:
        """Return what is on the screen when all *texts* are."""

        def is_seen() -> bool:
            text = self.text()
            return all(each in text for each in texts) and never not in text

        await until(is_seen)
        return self.text()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


@asynccontextmanager
async def shown(*components: Component, size: tuple[int, int] = (80, 24), **more: Any) -> AsyncGenerator[Seen]:
    source = Given()
    app = Dash(source, clock_s=lambda: 0.0)
    async with app.run_test(size=size) as pilot:
        seen = Seen(app, source, pilot)
        source.give(*components, **more)
        await until(lambda: app.view.board.now_ns)
        yield seen


async def test_online_offline_and_unknown() -> None:
    unknown = component("Odd", "unknown", number=950, reasons=("no report for 7.0 s",))
    async with shown(ONLINE, OFFLINE, unknown) as seen:
        text = await seen.see("DEMO/Here")
        lines = text.splitlines()
        assert lines[0].startswith("12:00:00 UTC  1 unknown  1 offline  1 running  2 streams  by worst")
        assert [line[0] for line in lines[2:7]] == ["?", " ", "○", " ", "●"]
        assert "○ DEMO/Gone offline  11:00:00" in text
        assert "    no report for 7.0 s" in text
        assert lines[-1].endswith("q quit")


async def test_restarted_and_renamed() -> None:
    async with shown(ONLINE) as seen:
        await seen.press("enter")
        await seen.see("● DEMO/Here  running", never="restarted")
        again = component("Here", restarted_ns=NOW_NS - 2 * NS_PER_S, streams=ONLINE.streams)
        seen.source.give(again)
        await seen.see("restarted 2026-11-21T11:59:58Z, 2.0 s ago")
        seen.source.give(component("New"))
        await seen.see("it is not there any more")
        await seen.press("escape")
        await seen.see("● DEMO/New", never="DEMO/Here")


async def test_300_components_at_20_columns_and_a_resize() -> None:
    async with shown(*many(300), size=(20, 10)) as seen:
        text = await seen.see("! DEMO/C299", "    a cable is bro")
        assert max(map(len, text.splitlines())) <= 20
        await seen.press("end")
        await seen.see("DEMO/C298", never="DEMO/C299")
        await seen.press("home", "pagedown", "j")
        await seen.see("DEMO/C010")
        await seen.pilot.resize_terminal(120, 40)
        await seen.see("1 trouble  299 running  300 streams", "what is wrong", "─DEMO/C010─")
        await seen.pilot.resize_terminal(80, 24)
        text = await seen.see("queue data", "DEMO/C010")
        assert len(text.splitlines()) == 24


async def test_sort() -> None:
    async with shown(component("A", items_per_s=1.0), component("B", items_per_s=5.0)) as seen:
        assert [each.name for each in seen.app.view.items] == ["DEMO/A", "DEMO/B"]
        await seen.press("s", "s")
        assert seen.app.view.order is Order.RATE
        text = await seen.see("by rate")
        assert text.index("DEMO/B") < text.index("DEMO/A")
        await seen.press("r")
        text = await seen.see("by rate reversed")
        assert text.index("DEMO/A") < text.index("DEMO/B")


async def test_filter() -> None:
    async with shown(*many(20)) as seen:
        await seen.press("slash", *"01")
        await seen.see("filter: 01", "DEMO/C010", never="DEMO/C009")
        await seen.press("q")  # it is written, not obeyed
        await seen.see("no components with 01q; Esc shows all")
        await seen.press("backspace", "enter", "j")
        chosen = seen.app.view.chosen
        assert chosen is not None
        assert chosen.name == "DEMO/C001"  # the one after the worst, C019
        await seen.press("escape")
        await seen.see("DEMO/C009", never="filter:")


async def test_streams_with_traces_and_one_opened() -> None:
    async with shown(ONLINE) as seen:
        assert seen.source.traces is not None
        seen.source.traces.add(packet("XX.HERE.00.HHZ", 0, *range(-40, 41)), 0.0)
        await seen.press("tab")
        text = await seen.see("stream", "XX.HERE.00.HHZ", "last minute", "no packet yet")
        assert any(0x2801 <= ord(each) <= 0x28FF for each in text)
        await seen.press("j", "enter")
        await seen.see("XX.HERE.00.HHZ", "100 Hz, latency 10 ms", "last 60 s", "of DEMO/Here")
        await seen.press("escape", "shift+tab")
        await seen.see("● DEMO/Here")


async def test_without_a_live_publisher_there_is_a_note() -> None:
    async with shown(component(streams=(Stream("XX.A.00.HHZ", note="it has no live publisher"),))) as seen:
        await seen.press("tab")
        await seen.see("it has no live publisher")
        seen.source.traces, seen.source.no_traces = None, "traces need --live ADDRESS"
        seen.source.give(ONLINE)
        await seen.see("! traces need --live ADDRESS")


async def test_a_page_scrolls() -> None:
    streams = tuple(Stream(f"XX.A{index:03}.00.HHZ", "DEMO/A") for index in range(100))
    async with shown(component(streams=streams)) as seen:
        await seen.press("enter")
        await seen.see("XX.A000.00.HHZ", never="XX.A030.00.HHZ")
        await seen.press("pagedown", "pagedown", "down")
        await seen.see("XX.A030.00.HHZ", never="XX.A010.00.HHZ")
        await seen.press("pageup", "pageup", "up")
        await seen.see("XX.A000.00.HHZ")


async def test_help_at_any_width() -> None:
    async with shown(ONLINE) as seen:
        await seen.press("question_mark")
        await seen.see("Up, Down, j, k   move", "q, Ctrl-C        quit")
        await seen.press("escape")
        await seen.pilot.resize_terminal(20, 10)
        await seen.press("question_mark")
        text = await seen.see("Up, Down, j, k move;")
        assert max(map(len, text.splitlines())) <= 20


async def test_the_log_is_that_of_the_component_at_the_cursor() -> None:
    async with shown(OFFLINE, ONLINE) as seen:
        seen.source.logs = {
            "DEMO/Gone": [LogLine(20, f"line {index}") for index in range(50)],
            "DEMO/Here": [LogLine(40, "an \x1b[31merror\n" + "x" * 100)],
        }
        seen.source.give(OFFLINE, ONLINE)
        await seen.see("─DEMO/Gone─", "line 49", never="line 41")
        await seen.press("down")
        text = await seen.see("─DEMO/Here─", "an [31merror xxx", never="line 49")
        assert max(map(len, text.splitlines())) == 80
        await seen.press("l")
        await seen.see("DEMO/Here", never="error")
        await seen.press("l")
        await seen.see("an [31merror xxx")


async def test_notes_stand_above_the_list() -> None:
    async with shown(ONLINE, notes=("a.yaml:3: Demo: has no `Receiver`", "another")) as seen:
        await seen.see("! a.yaml:3: Demo: has no `Receiver` (and 1 more)")
        seen.source.give(ONLINE)
        await seen.see("DEMO/Here", never="Receiver`")


async def test_the_mouse_moves_the_cursor_and_opens() -> None:
    async with shown(OFFLINE, ONLINE) as seen:
        await seen.see("DEMO/Here")
        await seen.pilot.click("#list", offset=Offset(3, 2))
        assert seen.app.view.chosen is ONLINE
        await seen.pilot.click("#list", offset=Offset(3, 0), times=2)
        await seen.see("○ DEMO/Gone  offline")


async def test_before_the_first_look_it_says_so() -> None:
    async with Dash(Given()).run_test(size=(80, 24)) as pilot:
        app = pilot.app
        assert isinstance(app, Dash)
        assert app.query_one("#summary", Lines).render().plain == "looking for components"


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_quit(key: str) -> None:
    async with shown(ONLINE) as seen:
        await seen.press("enter", key)
        await until(lambda: not seen.app.is_running)
    assert seen.app.failure is None


async def test_what_goes_wrong_ends_it_and_is_told() -> None:
    async with shown(ONLINE) as seen:
        seen.source.fail(InvalidValue("the runtime folder is gone"))
        await until(lambda: not seen.app.is_running)
    assert str(seen.app.failure) == "the runtime folder is gone"


def test_the_command_raises_what_went_wrong_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Given()

    async def run_headless(self: Dash) -> None:
        async with self.run_test() as _:
            source.fail(InvalidValue("the runtime folder is gone"))
            await until(lambda: self.failure)

    monkeypatch.setattr(Dash, "run_async", run_headless)
    with pytest.raises(InvalidValue, match="the runtime folder is gone"):
        app_module.run(source)
    assert source.is_closed
