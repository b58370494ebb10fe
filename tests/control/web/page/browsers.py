"""A browser for tests: one for each worker, and tabs that complain about everything that a person would not see."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tests.helpers import DEADLINE_S

#: They keep Chromium from calling out, and from shared memory that containers lack.
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]
DEADLINE_MS = DEADLINE_S * 1000
BLANK = "about:blank"
#: Options of a tab that can be another at each page.
CHANGEABLE: dict[str, Any] = {"viewport": {"width": 1280, "height": 720}, "color_scheme": "light"}
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
#: What is checked by axe: the rules of WCAG 2.2 AA and what its authors advise.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


expect.set_options(timeout=DEADLINE_MS)


def chromium() -> str:
    """Return where Chromium is; tests of the page need it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "there is no Chromium: apt-get install --no-install-recommends chromium fonts-dejavu-core"
    return found


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """Run a browser."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        await running.close()


@dataclass
class Watched:
    """A page, and what went wrong in it.

    Attributes:
        page: the page.
        url: of its server.
        wrong: messages of the console, exceptions, and requests to others than its server.
    """

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list[str])

    def watch(self) -> None:
        """Begin to notice what goes wrong."""
        self.page.set_default_timeout(DEADLINE_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text} {message.location}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.wrong.append(f"request to {request.url}")

    async def seen(self) -> str:
        """Return what a person would see: the address, what has the focus, and the text."""
        return str(await self.page.evaluate(SEEN))

    async def leave(self) -> None:
        """Leave the page; the tab can show another one, whose address gives it another token."""
        if not self.page.is_closed() and self.page.url != BLANK:
            await self.page.mouse.move(0, 0)
            await self.page.goto(BLANK)

    async def close(self) -> None:
        """Close the tab and its context."""
        await self.page.context.close()

    def forgive(self, text: str) -> None:
        """Forget what the test has made go wrong."""
        self.wrong = [line for line in self.wrong if text not in line]

    def forget(self) -> list[str]:
        """Return what went wrong; from now on, only what comes is noticed."""
        wrong, self.wrong = self.wrong, []
        return wrong

    async def axe(self) -> list[str]:
        """Return what is wrong for people who do not see, hear or point as others do."""
        await self.page.evaluate(AXE)
        found: dict[str, Any] = await self.page.evaluate(
            "tags => axe.run({ runOnly: tags, resultTypes: ['violations'], preload: false })", AXE_TAGS
        )
        return [f"{one['id']}: {one['help']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]

    async def is_too_wide(self) -> bool:
        """Return whether the page scrolls sideways."""
        wide: bool = await self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wide

    async def painted(self, selector: str, colour: str = "--trace") -> list[bool]:
        """Return for each column of pixels of a slot whether it has a pixel of a colour of the style sheet."""
        found: list[bool] = await self.page.evaluate(PAINTED, [selector, await self.colour(colour)])
        return found

    async def until_painted(self, selector: str, part: float, colour: str = "--trace") -> None:
        """Wait until so much of a slot has a colour of the style sheet."""
        arguments = [selector, await self.colour(colour), part]
        await self.page.wait_for_function(
            f"([selector, colour, part]) => {{ const found = ({PAINTED})([selector, colour]);"
            " return found.length > 0 && found.filter(Boolean).length >= part * found.length; }",
            arg=arguments,
        )

    async def until_whole(self, selector: str, colour: str = "--trace") -> None:
        """Wait until a slot has no hole between the first and the last column that have a colour."""
        await self.page.wait_for_function(
            f"([selector, colour]) => {{ const found = ({PAINTED})([selector, colour]);"
            " const inner = found.slice(found.indexOf(true), found.lastIndexOf(true));"
            " return inner.length > 0 && inner.every(Boolean); }",
            arg=[selector, await self.colour(colour)],
        )

    async def stop_clock(self) -> None:
        """Let time stand still in the page, whose clock must be the test's, from some seconds on."""
        now_ms = await self.page.evaluate("Date.now()")
        await self.page.clock.pause_at(datetime.fromtimestamp(now_ms / 1000 + 5, UTC))

    async def corner(self) -> tuple[int, int, int]:
        """Return the colour of the first pixel of the canvas."""
        red, green, blue = await self.page.evaluate(CORNER)
        return red, green, blue

    async def colour(self, name: str) -> tuple[int, int, int]:
        """Return a colour of the style sheet, such as ``--page``."""
        red, green, blue = await self.page.evaluate(COLOUR, name)
        return red, green, blue


class Tabs:
    """Tabs of a browser; tests use one after another, because a tab that knows the page loads it four times as fast."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[str, Watched] = {}

    async def new(self, script: str = "", **options: Any) -> Watched:
        """Return a tab in a context of its own, which runs a script before those of each page."""
        context = await self._browser.new_context(**(CHANGEABLE | options))
        watched = Watched(await context.new_page(), "")
        watched.watch()
        await watched.page.add_init_script(script)
        return watched

    async def kept(self, script: str = "", **options: Any) -> Watched:
        """Return an empty tab that has perhaps been used; what can be changed in it is as for a new one."""
        look = CHANGEABLE | options
        key = repr((script, [(name, options[name]) for name in sorted(options) if name not in CHANGEABLE]))
        watched = self._kept.get(key)
        if watched is None or watched.page.is_closed():
            watched = self._kept[key] = await self.new(script, **options)
        await watched.leave()
        await watched.page.set_viewport_size(look["viewport"])
        await watched.page.emulate_media(color_scheme=look["color_scheme"])
        return watched


SEEN = """() => [
  location.href,
  `focus: ${document.activeElement?.outerHTML.slice(0, 200)}`,
  document.body.innerText.slice(0, 2000),
].join("\\n")"""

# The page's own canvas is made for writing; what tests read is a copy.
COPY = """
  const original = document.querySelector(".sheet canvas");
  const canvas = new OffscreenCanvas(original?.width || 1, original?.height || 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (original?.width) context.drawImage(original, 0, 0);
"""

CORNER = "() => {" + COPY + "return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3); }"

PAINTED = (
    """([selector, [red, green, blue]]) => {"""
    + COPY
    + """
  const place = document.querySelector(selector);
  if (!original?.width || !place) return [];
  const slot = place.getBoundingClientRect();
  const box = original.getBoundingClientRect();
  const ratio = original.width / box.width;
  const place4 = [slot.left - box.left, slot.top - box.top, slot.width, slot.height];
  const [x, y, width, height] = place4.map(length => Math.round(length * ratio));
  const { data } = context.getImageData(x, y, width, height);
  const found = Array(width).fill(false);
  for (let k = 0; k < data.length; k += 4) {
    if (data[k] === red && data[k + 1] === green && data[k + 2] === blue) found[(k / 4) % width] = true;
  }
  return found;
}"""
)

COLOUR = """name => {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(k => parseInt(text.slice(k, k + 2), 16));
}"""
