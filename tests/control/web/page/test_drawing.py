"""The drawing of traces, in a browser: columns, scales, blocks and pixels, module by module."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.control.web.page.conftest import Open
from tests.control.web.page.made_up import Contents
from tests.control.web.page.made_up_server import PAGE, MadeUpServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Adds blocks to columns 100 ms wide, and returns each column from number 0 on as [low, high] or null.
COLUMNS = """async ([blocks, count]) => {
  const { Columns } = await import("/page/draw/columns.js");
  const columns = new Columns(100, count);
  for (const block of blocks) columns.add({ ...block, n: block.values.length / (block.isColumns ? 2 : 1),
    values: (block.isColumns ? Float32Array : Int32Array).from(block.values, value => value ?? NaN) });
  const found = [];
  for (let k = 0; k <= columns.newest; k += 1) {
    const slot = columns.slot(k);
    found.push(columns.has(k) ? [columns.low[slot], columns.high[slot]] : null);
  }
  return found;
}"""


def samples(first_ms: float, per_s: float, values: list[int]) -> dict[str, Any]:
    """Return a block of samples."""
    return {"firstMs": first_ms, "perS": per_s, "values": values, "isColumns": False}


def columns(first_ms: float, per_s: float, values: list[float | None]) -> dict[str, Any]:
    """Return a block of columns."""
    return {"firstMs": first_ms, "perS": per_s, "values": values, "isColumns": True}


CASES: dict[str, tuple[list[dict[str, Any]], int, Sequence[Sequence[float] | None]]] = {
    "samples fall into the columns of their times": (
        [samples(0, 40, [1, 5, 3, 2, 9, -9, 0, 0])],
        10,
        [[1, 5], [-9, 9]],
    ),
    "a gap stays empty": ([samples(0, 20, [1, 2]), samples(300, 20, [3, 4])], 10, [[1, 2], None, None, [3, 4]]),
    "late data land where they belong": (
        [samples(300, 20, [3, 4]), samples(0, 20, [1, 2]), samples(100, 20, [7, 8])],
        10,
        [[1, 2], [7, 8], None, [3, 4]],
    ),
    "repeated data change nothing": ([samples(0, 20, [1, 2]), samples(0, 20, [1, 2])], 10, [[1, 2]]),
    "between samples that are far apart there is a line": (
        [samples(0, 2.5, [0, 40])],
        10,
        [[0, 0], [10, 10], [20, 20], [30, 30], [40, 40]],
    ),
    "blocks that follow each other are joined": (
        [samples(0, 5, [0]), samples(200, 5, [20]), samples(1000, 5, [1])],
        20,
        [[0, 0], [10, 10], [20, 20], None, None, None, None, None, None, None, [1, 1]],
    ),
    "an offset of 2 ** 30 does not swallow a signal": ([samples(0, 20, [2**30, 2**30 + 1])], 10, [[2**30, 2**30 + 1]]),
    "what is older than the window is forgotten": (
        [samples(0, 10, [1, 2, 3, 4, 5])],
        3,
        [None, None, [3, 3], [4, 4], [5, 5]],
    ),
    "columns of the server are merged into ours": (
        [columns(0, 20, [1, 2, 0, 5, None, None, None, None, 3, 3])],
        10,
        [[0, 5], None, [3, 3]],
    ),
    "a column that has grown is sent again": ([columns(0, 10, [1, 2]), columns(0, 10, [1, 8])], 10, [[1, 8]]),
    "a clock that was set back begins anew": (
        [samples(100_000, 10, [1]), *(samples(100 * k, 10, [k]) for k in range(22))],
        10,
        [None] * 19 + [[k, k] for k in range(19, 22)],
    ),
}


async def test_columns(open_page: Open) -> None:
    watched = await open_page(MadeUpServer(Contents.of([])))
    found = {name: await watched.page.evaluate(COLUMNS, list(case[:2])) for name, case in CASES.items()}
    assert found == {name: expected for name, (_, _, expected) in CASES.items()}


JOIN = """async ([values, perS, rateHz]) => {
  const { joinSamples } = await import("/page/draw/history.js");
  const block = { n: values.length / 2, perS, values: Float32Array.from(values, value => value ?? NaN) };
  joinSamples(block, rateHz);
  return Array.from(block.values, value => Number.isNaN(value) ? null : value);
}"""


async def test_columns_between_samples_of_a_slow_stream_are_no_gap(open_page: Open) -> None:
    watched = await open_page(MadeUpServer(Contents.of([])))
    empty = [None, None]
    slow = [0, 0, *empty, 20, 20, *empty, *empty, *empty, *empty, 7, 9]  # a sample in every other column, one is lost
    assert await watched.page.evaluate(JOIN, [slow, 1, 0.5]) == [0, 0, 10, 10, *slow[4:]]
    assert await watched.page.evaluate(JOIN, [slow, 1, 100]) == slow


SCALE = """async ([values]) => {
  const { Columns } = await import("/page/draw/columns.js");
  const { extent } = await import("/page/draw/scale.js");
  const columns = new Columns(100, values.length);
  columns.add({ firstMs: 0, perS: 10, n: values.length, values: Int32Array.from(values), isColumns: false });
  return extent(columns, 0, values.length - 1);
}"""


async def test_a_glitch_does_not_flatten_a_trace(open_page: Open) -> None:
    wave = [100 * (-1) ** k for k in range(300)]
    watched = await open_page(MadeUpServer(Contents.of([])))
    plain = await watched.page.evaluate(SCALE, [wave])
    glitch = await watched.page.evaluate(SCALE, [[*wave[:150], 10_000_000, *wave[151:]]])
    offset = await watched.page.evaluate(SCALE, [[value + 5_000_000 for value in wave]])
    assert plain["half"] == glitch["half"] == 250
    assert abs(offset["centre"] - 5_000_000) <= 100


async def test_every_module_is_there_and_loads(open_page: Open) -> None:
    names = sorted(str(path.relative_to(PAGE)) for path in PAGE.glob("**/*.js"))
    watched = await open_page(MadeUpServer(Contents.of([])))
    for name in names:
        await watched.page.evaluate("name => import(`/page/${name}`).then(() => true)", name)
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    preloaded = {name for name in names if f'modulepreload" href="/page/{name}"' in html}
    assert preloaded == {name for name in names if name.startswith(("app/", "dom/", "draw/"))}
    assert len(names) > 30


PAINT = """async ([values, half, gapAt]) => {
  const { Columns } = await import("/page/draw/columns.js");
  const { drawTrace, Picture } = await import("/page/draw/paint.js");
  const columns = new Columns(100, values.length);
  values.forEach((value, k) => k === gapAt || columns.add(
    { firstMs: 100 * k, perS: 10, n: 1, values: Int32Array.of(value), isColumns: false }));
  const picture = new Picture(values.length, 11);
  drawTrace(picture, columns, { x: 0, y: 0, width: values.length, height: 11 }, 0, { centre: 0, half },
    { colour: 1, gapColour: 2 });
  return Array.from({ length: 11 }, (_, y) => Array.from({ length: values.length },
    (_, x) => ".#g"[picture.pixels[y * values.length + x]]).join(""));
}"""


async def test_steep_signals_are_lines_and_large_ones_are_clipped(open_page: Open) -> None:
    watched = await open_page(MadeUpServer(Contents.of([])))
    assert await watched.page.evaluate(PAINT, [[-4, 4, 4, -4], 5, -1]) == [
        "....",
        ".###",
        ".#.#",
        ".#.#",
        ".#.#",
        ".#.#",
        ".#.#",
        ".#.#",
        ".#.#",
        "##.#",
        "....",
    ]
    assert await watched.page.evaluate(PAINT, [[0, 0, 99, 0, 0], 5, 3]) == [
        "..#..",
        "..#..",
        "..#..",
        "..#..",
        "..#..",
        "###.#",
        ".....",
        ".....",
        ".....",
        "...g.",
        "...g.",
    ]
