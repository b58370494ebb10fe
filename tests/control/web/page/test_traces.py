"""Traces in a browser: what is drawn, what is not, and that a lost connection leaves no seam."""

import math
import re

import pytest
from playwright.async_api import expect

from tests.control.web.page.conftest import Open
from tests.control.web.page.made_up import Contents, component, stream
from tests.control.web.page.made_up_server import MadeUpServer, now_ms
from tests.helpers import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATION = "/s/XX.DEMO"
KEY = "XX.DEMO.RawReceiver"
FIRST = "[aria-label^='trace of XX.DEMO.00.HHZ']"
EACH = [f"[aria-label^='trace of XX.DEMO.00.HH{letter}']" for letter in "ZEN"]


def demo() -> MadeUpServer:
    """Return a server of one station with three streams."""
    return MadeUpServer(Contents.of([component(KEY)]))


def runs(painted: list[bool]) -> list[tuple[bool, int]]:
    """Return the lengths of runs of equal values."""
    found: list[tuple[bool, int]] = []
    for value in painted:
        if found and found[-1][0] == value:
            found[-1] = (value, found[-1][1] + 1)
        else:
            found.append((value, 1))
    return found


async def test_three_traces_are_drawn_in_the_colours_of_the_page(open_page: Open) -> None:
    watched = await open_page(demo(), STATION, color_scheme="dark")
    for scheme in ("dark", "light"):  # the scheme changes while the page is open
        await watched.page.emulate_media(color_scheme=scheme)
        for slot in EACH:
            await watched.until_painted(slot, 0.95)
        background = await watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert await watched.corner() == await watched.colour("--page")
        assert background == f"rgb{await watched.colour('--page')}"
        assert (sum(await watched.colour("--page")) < 200) == (scheme == "dark")
        await expect(watched.page.locator("main .half").first).to_have_text("±1250")
        assert await watched.axe() == []


async def test_a_gap_stays_empty_and_is_marked(open_page: Open) -> None:
    made_up = demo()
    now = now_ms()
    made_up.contents.gaps = [(now - 30_000, now - 24_000)]
    watched = await open_page(made_up, STATION)
    await watched.until_painted(FIRST, 0.85)
    painted = await watched.painted(FIRST)
    gap = max(length for is_painted, length in runs(painted) if not is_painted)
    assert abs(gap - len(painted) / 10) <= 3
    marked = sum(await watched.painted(FIRST, "--gap"))
    assert abs(marked - gap) <= 3


async def test_a_lost_connection_comes_back_without_a_seam(open_page: Open) -> None:
    made_up = demo()
    watched = await open_page(made_up, STATION)
    await watched.until_painted(FIRST, 0.95)
    made_up.is_refusing = True
    await made_up.drop()
    banner = watched.page.get_by_text("Connection to the server lost")
    await banner.wait_for()
    await watched.until_painted(FIRST, 0.5, "--trace-stale")
    assert await watched.axe() == []
    made_up.is_refusing = False
    # It may have come back by itself just now.
    await watched.page.evaluate("document.querySelector('#banner button')?.click()")
    await banner.wait_for(state="detached")
    await watched.until_painted(FIRST, 0.95)
    await watched.page.wait_for_function("() => document.querySelector('#live').textContent.includes('● live')")
    await watched.until_whole(FIRST)


async def test_what_comes_into_the_archive_late_closes_the_seam_to_live_samples(open_page: Open) -> None:
    made_up = demo()
    made_up.live_from_ms = now_ms()
    made_up.archive_to_ms = now_ms() - 8000  # the record after it is not full yet
    watched = await open_page(made_up, STATION, has_clock=True)
    await watched.until_painted(FIRST, 0.1, "--gap")
    made_up.archive_to_ms = math.inf
    await watched.page.clock.fast_forward(2000)
    await watched.until_painted(FIRST, 0.95)
    await watched.until_whole(FIRST)
    assert not any(await watched.painted(FIRST, "--gap"))


async def test_states_of_health_come_after_seismograms(open_page: Open) -> None:
    made_up = demo()
    slow = "XX.DEMO..VXL"
    made_up.contents.components[KEY]["streams"].append(slow)
    made_up.contents.streams[slow] = stream(slow, KEY, "well", rate_hz=0.1)
    watched = await open_page(made_up, STATION)
    names = watched.page.locator(".traces .rows li a")
    await names.nth(3).wait_for()
    await expect(names).to_have_text(["00.HHZ", "00.HHE", "00.HHN", "VXL"])


async def test_three_hundred_traces_have_an_axis_below_them(open_page: Open) -> None:
    made_up = MadeUpServer(Contents.network(300, now_ms=now_ms()))
    watched = await open_page(made_up, "/traces", viewport={"width": 1900, "height": 1060})
    await watched.page.wait_for_function("() => document.querySelectorAll('.slot').length === 300")
    await watched.until_painted("li:first-child .slot", 0.95)
    await watched.until_painted("li:nth-child(100) .slot", 0.95)
    slot = await watched.page.locator("li .slot").first.bounding_box()
    axis = await watched.page.locator(".axis").bounding_box()
    assert slot is not None
    assert axis is not None
    assert (slot["x"], slot["width"]) == (axis["x"], axis["width"])
    await watched.page.locator("li:nth-child(300) .slot").scroll_into_view_if_needed()
    await watched.until_painted("li:nth-child(300) .slot", 0.95)
    await watched.page.get_by_role("button", name="10 min").click()
    await watched.page.get_by_text("the server keeps 00:02:00 of live streams").wait_for()


async def test_larger_and_stopped_by_keys(open_page: Open) -> None:
    watched = await open_page(demo(), STATION)
    await watched.until_painted(FIRST, 0.95)
    await watched.page.keyboard.press("+")
    await watched.page.get_by_text("±625").first.wait_for()
    await expect(watched.page).to_have_url(re.compile("gain=2"))
    await watched.page.keyboard.press("Space")
    await watched.page.wait_for_function("() => new Promise(done => requestAnimationFrame(() => done(true)))")
    assert await watched.painted(FIRST) != []


async def test_a_phone_shows_traces_below_their_labels(open_page: Open) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    watched = await open_page(demo(), STATION, **phone)
    await watched.until_painted(FIRST, 0.95)
    assert len(await watched.painted(FIRST)) > 700  # two pixels of the screen for one of the page
    assert not await watched.is_too_wide()
    assert await watched.axe() == []


async def test_a_helicorder_of_any_day_has_its_gaps(open_page: Open) -> None:
    made_up = demo()
    made_up.contents.gaps = [(1_795_788_120_000, 1_795_788_840_000)]  # 2026-11-27, from 14:02 to 14:14
    watched = await open_page(made_up, f"{STATION}/00.HHZ/2026-11-27", viewport={"width": 700, "height": 700})
    for search in ("", "?row=15&gain=4&centre=0&clip=1"):
        await watched.page.goto(f"{watched.url}{STATION}/00.HHZ/2026-11-27{search}")
        await watched.page.get_by_text("to 14:1").wait_for()
        gaps = await watched.page.locator(".gaps li").all_text_contents()
        assert len(gaps) == 1
        assert re.fullmatch(r"14:0(1:5|2:0)\d to 14:1(3:5|4:0)\d, 00:1(1:5|2:0)\d", gaps[0])
        await expect(watched.page.locator(".drum .rows li")).to_have_count(24)
    assert await watched.axe() == []
    await watched.page.keyboard.press("]")
    await watched.page.get_by_role("heading", name="2026-11-28").wait_for()
    await watched.page.get_by_role("link", name="03", exact=True).click()
    await watched.page.get_by_text("2026-11-28 03:00:00 to").wait_for()
    await expect(watched.page).to_have_url(re.compile("start=2026-11-28T03"))


async def test_a_stream_alone_has_its_numbers_and_its_latency(open_page: Open) -> None:
    watched = await open_page(demo(), f"{STATION}/00.HHZ?window=600")
    slot = "[aria-label^='trace of XX.DEMO.00.HHZ']"
    await watched.until_painted(slot, 0.95)  # also what is older than the memory of the server
    await watched.page.get_by_role("img", name="latency: mostly 0.45 s").wait_for()
    await watched.page.locator(slot).hover(position={"x": 400, "y": 20})
    await watched.page.get_by_text(" to ").first.wait_for()
    assert await watched.axe() == []


async def test_a_hidden_tab_is_sent_nothing_and_has_all_when_it_is_seen(open_page: Open) -> None:
    made_up = demo()
    hide = "Object.defineProperty(document, 'hidden', { get: () => window.isHidden ?? false })"
    watched = await open_page(made_up, STATION, script=hide, has_clock=True)
    await watched.until_painted(FIRST, 0.95)
    change = "isHidden => { window.isHidden = isHidden; document.dispatchEvent(new Event('visibilitychange')); }"
    await watched.page.evaluate(change, True)
    await watched.page.clock.run_for(10_000)
    assert made_up.viewers == 1
    await watched.page.clock.run_for(21_000)
    await until(lambda: made_up.viewers == 0)
    await watched.page.evaluate(change, False)
    await until(lambda: made_up.viewers == 1)
    assert await watched.page.get_by_text("Connection to the server lost").count() == 0
