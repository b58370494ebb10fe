"""What the page of ``control-rawdaq web`` costs a browser: ``python -m benchmarks.web_page [--streams N]``.

A component publishes one stream of 100 Hz of each of so many stations, in packets of 0.5 s; the real server serves the
page ``/traces`` to Chromium (headless, drawing without a GPU), 1900 x 1060 pixels, a window of 60 s. It prints

  first trace   from the beginning of the navigation to the first picture with a trace, and with all of them
  redraws       a second, and the time of one, the median and the longest
  long tasks    how many of more than 50 ms the page had
  renderer      processor time of the page's process in percent of one core, and its memory that nobody shares (USS)
  server        processor time of the web server, likewise

Playwright and Chromium must be installed, as for the tests.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

from playwright.async_api import Page, async_playwright

from benchmarks.processes import ROOT, Child, cpu_s_of

_FLAGS = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage")
_DEADLINE_MS = 60_000
_STATION_FILE = """
station: {network: XX, code: HUB, location: "00"}
Bench:
  Receiver: {class: RawReceiver, host: 127.0.0.1, port: 1, channels: {1: HHZ}}
  Publishers: {live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}}
"""
# Runs before the page's own scripts: notes each redraw and each long task, with times since the navigation began.
_NOTES = """
window.redraws = [];
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const { name, startTime, duration, detail } of list.getEntries()) {
    if (name === "redraw") window.redraws.push({ at: startTime + duration, duration, traces: detail.traces });
  }
}).observe({ type: "measure", buffered: true });
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration)))
  .observe({ type: "longtask", buffered: true });
"""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser("benchmarks.web_page", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=12.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.environ["RAWDAQ_RUNTIME_DIR"] = str(Path(folder) / "run")
        os.environ["XDG_STATE_HOME"] = str(Path(folder) / "state")
        file = Path(folder) / "hub.yaml"
        file.write_text(_STATION_FILE, encoding="utf-8")
        with Child("-m", "benchmarks.programs.many_stations", "--streams", args.streams, "--file", file) as component:
            component.read()
            with web_server(file) as (server, url):
                asyncio.run(_measure(url, server.pid, args.streams, args.seconds))


@contextmanager
def web_server(file: Path) -> Generator[tuple["subprocess.Popen[str]", str]]:
    """Run the server; yields its process and its address with the token."""
    code = "import sys; sys.argv[0] = 'control-rawdaq'; from rawdaq.control.cli import main; main()"
    command = [sys.executable, "-c", code, "web", "--port", "0", "--host", "127.0.0.1", "--config", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = (server.stdout.readline() if server.stdout else "").strip()
            yield server, url
        finally:
            server.terminate()


@asynccontextmanager
async def a_page() -> AsyncGenerator[Page]:
    """Open an empty page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("bench: there is no Chromium: apt-get install --no-install-recommends chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        page = await browser.new_page(viewport={"width": 1900, "height": 1060})
        yield page
        await browser.close()


async def _measure(url: str, server_pid: int, streams: int, seconds: float) -> None:
    address, _, token = url.partition("#")
    async with a_page() as page:
        await page.add_init_script(_NOTES)
        # The first visit warms the server's memory, as with a page that somebody looks at already.
        await page.goto(f"{address}traces#{token}")
        await _until_drawn(page, streams)
        await asyncio.sleep(seconds)
        await page.goto("about:blank")
        await page.goto(f"{address}traces#{token}")
        await _until_drawn(page, streams)
        first = await page.evaluate("redraws.find(({ traces }) => traces > 0).at")
        every = await page.evaluate("n => redraws.find(({ traces }) => traces >= n).at", await _visible(page))
        print(f"first trace {first:.0f} ms, all {every:.0f} ms")
        pid = await _renderer(page)
        before = await page.evaluate("[redraws.length, longTasks.length]")
        cpu = [cpu_s_of(pid), cpu_s_of(server_pid)]
        await asyncio.sleep(seconds)
        used = [
            100 * (now - then) / seconds for now, then in zip([cpu_s_of(pid), cpu_s_of(server_pid)], cpu, strict=True)
        ]
        found: Any = await page.evaluate(
            "before => ({ redraws: redraws.slice(before[0]), long: longTasks.length - before[1] })", before
        )
        times = sorted(one["duration"] for one in found["redraws"])
        print(
            f"{len(times) / seconds:.1f} redraws/s of {found['redraws'][-1]['traces']} traces, "
            f"{times[len(times) // 2]:.1f} ms each, longest {times[-1]:.1f} ms, {found['long']} long tasks"
        )
        print(f"renderer {used[0]:.1f} %, {_uss_mb(pid):.0f} MB; server {used[1]:.1f} %")


async def _visible(page: Page) -> int:
    """Return how many traces the newest picture has."""
    count: int = await page.evaluate("redraws.at(-1).traces")
    return count


async def _until_drawn(page: Page, streams: int) -> None:
    """Return when all slots are there and most of them have a trace."""
    script = "n => document.querySelectorAll('.slot').length === n && redraws.some(({ traces }) => traces >= n * 0.6)"
    await page.wait_for_function(script, arg=streams, timeout=_DEADLINE_MS)


async def _renderer(page: Page) -> int:
    """Return the process that draws the page: of the browser's renderers, the one with the most processor time."""
    session = await page.context.browser.new_browser_cdp_session() if page.context.browser else None
    if session is None:
        raise SystemExit("bench: the browser has gone")
    found = cast("dict[str, list[dict[str, Any]]]", await session.send("SystemInfo.getProcessInfo"))
    renderers = [one for one in found["processInfo"] if one["type"] == "renderer"]
    return int(max(renderers, key=lambda one: one["cpuTime"])["id"])


def _uss_mb(pid: int) -> float:
    """Return the memory of a process that no other shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1000


if __name__ == "__main__":
    main()
