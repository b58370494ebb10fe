"""The page without traces, in a browser: states, tokens, commands, logs, the keyboard and small screens."""

import re

import pytest
from playwright.async_api import expect

from tests.control.web.page.conftest import Open
from tests.control.web.page.made_up import Contents, component, event, log_line, place
from tests.control.web.page.made_up_server import MadeUpServer, now_ms

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "XX.DEMO.RawReceiver"
UNKNOWN = "\N{EN DASH}"
LAST = "a mistake in a file"  # is shown with the last of what comes with the page: from then on, all is a change
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


def demo() -> MadeUpServer:
    """Return a server of one station."""
    return MadeUpServer(Contents.of([component(KEY)]))


def thousand() -> MadeUpServer:
    """Return a server of a thousand stations."""
    return MadeUpServer(Contents.network(1000, now_ms=now_ms()))


async def test_a_thousand_stations_the_worst_first(open_page: Open) -> None:
    watched = await open_page(thousand())
    page = watched.page
    await page.get_by_role("button", name="988 well").wait_for()
    rows = await page.locator(".problems li").all_text_contents()
    assert [row.split("X")[0].split("Y")[0].split("Z")[0] for row in rows] == [
        *["✕no data"] * 3,
        *["▲late"] * 7,
        *["○stopped"] * 2,
    ]
    await expect(page.locator(".tiles li")).to_have_count(988)
    await expect(page).to_have_title("3 down, 7 late · rawdaq")
    await page.get_by_role("button", name="7 late").click()
    await expect(page.locator(".problems li")).to_have_count(7)
    await page.keyboard.press("/")
    await page.keyboard.type("xx.*")
    await expect(page.locator(".problems li")).to_have_count(2)
    await expect(page).to_have_url(re.compile(r"\?(show=late&filter=xx\.\*|filter=xx\.\*&show=late)$"))
    await page.reload()
    await page.get_by_role("button", name="2 late", pressed=True).wait_for()
    await expect(page.locator(".problems li")).to_have_count(2)


@pytest.mark.parametrize(
    "options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
async def test_the_overview_is_for_everybody(open_page: Open, options: dict[str, object]) -> None:
    watched = await open_page(MadeUpServer(Contents.network(12, now_ms=now_ms())), **options)
    await watched.page.locator(".tiles li").first.wait_for()
    assert not await watched.is_too_wide()
    assert await watched.axe() == []


async def test_the_focus_stays_while_states_change(open_page: Open) -> None:
    made_up = MadeUpServer(Contents.network(40, now_ms=now_ms()))
    made_up.contents.mistakes = [LAST]
    watched = await open_page(made_up, has_clock=True)
    page = watched.page
    await page.get_by_text(LAST).wait_for()
    await page.get_by_role("link", name="B005 well").focus()
    for condition, number in [("no data", 800), ("well", 0), ("late", 500)]:
        made_up.contents.components["XY.B005.RawReceiver"] |= {"condition": condition, "number": number}
        made_up.contents.components["XX.A002.RawReceiver"] |= {"condition": condition, "number": number}
        made_up.tell()
        await page.get_by_role("link", name=f"B005 {condition}").wait_for()  # it says so where it stands
        await page.clock.run_for(10_000)
        focused = await page.evaluate("document.activeElement.textContent")
        assert focused.startswith(f"{'✕▲'[condition == 'late'] if number else '✓'}B005")
    assert await page.locator(".problems li").count() == 3  # those of the beginning
    await page.get_by_role("button", name="states have changed: sort now").click()
    await expect(page.locator(".problems li")).to_have_count(5)


async def test_the_order_changes_some_seconds_after_a_state(open_page: Open) -> None:
    made_up = MadeUpServer(Contents.network(40, now_ms=now_ms()))
    made_up.contents.mistakes = [LAST]
    watched = await open_page(made_up, has_clock=True)
    page = watched.page
    await page.get_by_text(LAST).wait_for()
    await watched.stop_clock()
    made_up.contents.components["XX.A002.RawReceiver"] |= {"condition": "no data", "number": 900}
    made_up.tell()
    await page.get_by_role("link", name="A002 no data").wait_for()
    await page.clock.run_for(2_000)
    assert await page.locator(".problems li").count() == 3
    await page.clock.run_for(6_000)
    await expect(page.locator(".problems li").first).to_contain_text("XX.A002")


async def test_a_wrong_token_shows_nothing_and_asks_for_the_right_one(open_page: Open) -> None:
    made_up = demo()
    watched = await open_page(made_up, "/s/XX.DEMO", token="wrong")
    page = watched.page
    await page.get_by_role("heading", name="A token is needed").wait_for()
    assert "#" not in page.url
    await expect(page.locator("main")).to_have_text("")
    assert await watched.axe() == []
    await page.get_by_label("token", exact=True).fill("made-up")
    await page.get_by_role("button", name="Use it").click()
    await page.get_by_role("heading", name="DEMO/RawReceiver").wait_for()
    watched.forgive("401 (Unauthorized)")  # a request may have gone before the connection was refused


async def test_a_command_is_asked_for_and_answered_in_words(open_page: Open) -> None:
    made_up = demo()
    watched = await open_page(made_up, "/s/XX.DEMO")
    page = watched.page
    await page.get_by_text("commands", exact=True).click()
    await page.get_by_role("button", name="stop").click()
    dialog = page.get_by_role("dialog", name="stop DEMO/RawReceiver?")
    await expect(dialog).to_contain_text("This stops 3 streams. 2 readers lose them.")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert await watched.axe() == []
    await page.keyboard.press("Enter")
    await dialog.wait_for(state="detached")
    assert made_up.commands == []
    await page.get_by_role("button", name="stop").click()
    await dialog.get_by_role("button", name="stop").click()
    await page.get_by_text("DEMO/RawReceiver: it did stop").wait_for()
    await page.get_by_label("Log level to set").select_option("DEBUG")
    await page.get_by_text("DEMO/RawReceiver: it did log-level").wait_for()
    assert made_up.commands == [(f"{KEY}/stop", {}), (f"{KEY}/log-level", {"level": "DEBUG"})]


async def test_a_connection_that_is_left_while_it_is_made_is_no_error(open_page: Open) -> None:
    watched = await open_page(demo())
    script = """async key => {
      const { Link } = await import("/page/app/link.js");
      const [left, kept] = [0, 1].map(() => new Link(`log/${key}`, () => "made-up", {}));
      left.close();
      await new Promise(done => { kept.on.state = done; });
      kept.close();
    }"""
    await watched.page.evaluate(script, KEY)  # what a browser complains of fails the test at its end


async def test_a_log_is_text_whatever_a_device_wrote(open_page: Open) -> None:
    made_up = demo()
    wicked = "<img src=x onerror=alert(1)>"
    made_up.contents.lines = [log_line(now_ms(), "ERROR", wicked), log_line(now_ms(), "INFO", "all is well")]
    watched = await open_page(made_up, f"/logs/{KEY}")
    page = watched.page
    await page.get_by_text(wicked).wait_for()
    assert await page.locator("img").count() == 0
    assert await watched.axe() == []
    await page.keyboard.press("/")
    await page.keyboard.type("WELL")
    await page.get_by_text(wicked).wait_for(state="detached")
    await expect(page.locator(".log li")).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"\?find=WELL$"))


async def test_what_has_happened(open_page: Open) -> None:
    made_up = demo()
    watched = await open_page(made_up, "/logs/")
    await watched.page.get_by_text("No state has changed since this server was started").wait_for()
    made_up.contents.events = [event(1, component(KEY, "no data"), "well", now_ms())]
    watched = await open_page(made_up, "/logs/")
    await watched.page.get_by_text("192.0.2.7:65535 is not connected: connection refused").wait_for()
    assert await watched.page.get_by_text("No state has changed").is_hidden()
    assert await watched.axe() == []


async def test_readers_and_what_they_lost(open_page: Open) -> None:
    made_up = MadeUpServer(Contents.of([component(KEY), component("XX.FAST.RawReceiver", dropped=17)]))
    watched = await open_page(made_up, "/clients")
    page = watched.page
    await page.get_by_role("link", name="FAST/RawReceiver").wait_for()
    await expect(page.locator("tbody tr").first).to_have_text(re.compile("^FAST/RawReceiver"))
    await page.get_by_role("button", name="Show the readers of FAST/RawReceiver").click()
    await page.get_by_text("tcp://127.0.0.1:9004").wait_for()
    assert await watched.axe() == []


async def test_the_map_is_there_where_coordinates_are(open_page: Open) -> None:
    watched = await open_page(demo(), "/")
    page = watched.page
    await page.get_by_role("link", name="DEMO well").wait_for()
    assert await page.get_by_role("link", name="map").count() == 0
    made_up = MadeUpServer(Contents.of([component(KEY, "late", coordinates=place(38.1, 13.4))]))
    watched = await open_page(made_up, "/map")
    page = watched.page
    await page.get_by_role("link", name="DEMO late").wait_for()
    await page.wait_for_function("() => document.querySelectorAll('.coast path').length === 3")
    box = await page.locator(".map").bounding_box()
    point = await page.get_by_role("link", name="DEMO late").bounding_box()
    assert box is not None
    assert point is not None
    assert abs(box["x"] + box["width"] / 2 - point["x"]) < 20
    assert await watched.axe() == []
    await page.get_by_role("button", name="Closer").click()
    await expect(page).to_have_url(re.compile(re.escape("at=38.100%2C13.400%2C")))
    await page.get_by_role("link", name="DEMO late").click()
    await page.get_by_role("heading", name="XX.DEMO").wait_for()


async def test_the_keyboard_reaches_everything(open_page: Open) -> None:
    watched = await open_page(MadeUpServer(Contents.network(20, now_ms=now_ms())))
    page = watched.page
    await page.locator(".tiles li").first.wait_for()
    await page.keyboard.press("?")
    await page.get_by_role("dialog", name="Keys").wait_for()
    assert await watched.axe() == []
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog", name="Keys").wait_for(state="hidden")  # a browser closes it a little later
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", level=1, name="ZZ.D001").wait_for()  # the worst
    await page.keyboard.press("g")
    await page.keyboard.press("o")
    await page.get_by_role("button", name="17 well").wait_for()
    await page.go_back()
    await page.get_by_role("heading", level=1, name="ZZ.D001").wait_for()


async def test_a_component_of_many_stations_shows_each_of_them(open_page: Open) -> None:
    names = ["XX.AAA.00.HHZ", "XX.BBB.00.HHZ", "YY.CCC..BHZ"]
    hub = component("XX.HUB.SeedLink", streams=names)
    dead = component("XX.OFF.SeedLink", "no data", streams=["ZZ.DDD.00.HHZ"])
    made_up = MadeUpServer(Contents.of([hub, dead]))
    made_up.contents.streams["XX.BBB.00.HHZ"] |= {"condition": "late", "number": 500, "sentence": "41 s late"}
    watched = await open_page(made_up)
    page = watched.page
    await page.get_by_text("41 s late").wait_for()
    await expect(page.locator(".problems .name")).to_have_text(["XX.OFF", "ZZ.DDD", "XX.BBB"])
    await expect(page.locator(".tiles .name")).to_have_text(["AAA", "HUB", "CCC"])


async def test_mistakes_and_problems_are_shown_as_text(open_page: Open) -> None:
    made_up = demo()
    made_up.contents.mistakes = ["demo.yaml:3: unknown key <i>hots</i>"]
    made_up.contents.components[KEY] |= {"condition": "late", "number": 500, "sentence": "<img src=x> is late"}
    watched = await open_page(made_up)
    await watched.page.get_by_text("demo.yaml:3: unknown key <i>hots</i>").wait_for()
    await watched.page.get_by_text("<img src=x> is late").wait_for()
    assert await watched.page.locator("img").count() == 0
    assert await watched.axe() == []


async def test_nothing_is_known_and_there_is_no_such_page(open_page: Open) -> None:
    made_up = MadeUpServer(Contents.of([]))
    watched = await open_page(made_up)
    await watched.page.get_by_text("No component is known here").wait_for()
    watched = await open_page(made_up, "/s/a/b/c")
    await watched.page.get_by_role("heading", name="There is no such page").wait_for()
    watched = await open_page(made_up, "/s/XX.NONE")
    await watched.page.get_by_text("There is no such station here.").wait_for()


async def test_a_stream_that_is_gone_is_not_well(open_page: Open) -> None:
    made_up = demo()
    watched = await open_page(made_up, "/s/XX.DEMO/00.HHZ")
    state = watched.page.locator(".title .badge")
    await state.get_by_text("well").wait_for()
    del made_up.contents.streams["XX.DEMO.00.HHZ"]
    made_up.tell()
    await watched.page.get_by_text("There is no such stream now").wait_for()
    await state.wait_for(state="hidden")


async def test_of_a_stream_that_is_unknown_nothing_is_asked_until_it_is_there(open_page: Open) -> None:
    made_up = demo()
    one = made_up.contents.streams.pop("XX.DEMO.00.HHZ")
    watched = await open_page(made_up, "/s/XX.DEMO/00.HHZ")
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    await watched.page.get_by_text("There is no such stream now").wait_for()
    await watched.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not [url for url in asked if "/streams/" in url]
    made_up.contents.streams["XX.DEMO.00.HHZ"] = one
    async with watched.page.expect_response("**/streams/XX.DEMO.00.HHZ/columns*"):
        made_up.tell()
    await watched.page.locator(".latency-line svg, .latency-line canvas").first.wait_for()


async def test_a_helicorder_of_a_stream_that_is_unknown_is_drawn_once_it_is_there(open_page: Open) -> None:
    made_up = demo()
    made_up.contents.gaps = [(1_795_788_120_000, 1_795_788_840_000)]  # 2026-11-27, from 14:02 to 14:14
    one = made_up.contents.streams.pop("XX.DEMO.00.HHZ")
    watched = await open_page(made_up, "/s/XX.DEMO/00.HHZ/2026-11-27")
    await watched.page.get_by_text("There is no such stream now").wait_for()
    made_up.contents.streams["XX.DEMO.00.HHZ"] = one
    made_up.tell()
    await watched.page.get_by_text("to 14:1").wait_for()
    await expect(watched.page.get_by_text("There is no such stream now")).to_have_count(0)


async def test_numbers_and_times_as_they_are_written(open_page: Open) -> None:
    watched = await open_page(MadeUpServer(Contents.of([])))
    script = """async () => {
      const f = await import("/page/dom/format.js");
      return {
        seconds: [null, 0.002, 0.21, 9.96, 41.3, 760, 273600].map(f.seconds),
        rate: [null, 0.5, 100, 62.5, 1e6, 44100].map(f.rate),
        bytes: [0, 999, 1000, 412e6, 2e12].map(f.bytes),
        amplitude: [0, 1250, -0.25, 2600000, 0.00012, NaN].map(f.amplitude),
        msOf: ["2026-11-29T12:06:13.250000001Z", "2026-11-29T12:06:13Z"].map(f.msOf),
      };
    }"""
    assert await watched.page.evaluate(script) == {
        "seconds": [UNKNOWN, "2 ms", "0.2 s", "10.0 s", "41 s", "00:12:40", "3d 04h"],
        "rate": [UNKNOWN, "0.5 Hz", "100 Hz", "62.5 Hz", "1 MHz", "44.1 kHz"],
        "bytes": ["0 B", "999 B", "1.0 kB", "412 MB", "2.0 TB"],
        "amplitude": ["0", "1250", "-0.25", "2.6e6", "1.2e-4", UNKNOWN],
        "msOf": [1795953973250, 1795953973000],
    }


async def test_no_view_scrolls_sideways_on_a_phone(open_page: Open) -> None:
    made_up = MadeUpServer(Contents.of([component(KEY, coordinates=place(38.1, 13.4))]))
    made_up.contents.lines = [log_line(now_ms(), "WARNING", "a" * 300)]
    watched = await open_page(made_up, **PHONE)
    page = watched.page
    for address, text in {
        "/traces": "1 of 1, 1 station",
        "/map": "DEMO",
        "/clients": "live, archive",
        f"/logs/{KEY}": "a" * 300,
        "/s/XX.DEMO/00.HHZ": "Numbers",
    }.items():
        await page.goto(f"{watched.url}{address}")
        await page.locator("main").get_by_text(text).first.wait_for()
        assert not await watched.is_too_wide(), address
        assert await watched.axe() == [], address
