"""The block ``Journal`` of a station file."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq import config
from rawdaq.config import ConfigError
from rawdaq.errors import ComponentError
from rawdaq.journal.entries import decode
from rawdaq.station import build
from rawdaq.store.inspect import StoreView
from rawdaq.store.store import Store
from rawdaq.streamer import Channel, Streamer
from tests.helpers import until
from tests.journals import archived
from tests.makers import START_NS

STATION = """\
station: {network: XX, code: AE, location: "00"}
AE:
  Receiver: {class: RawReceiver, channels: {1: HHZ}, port: 65535}
  Publishers: {archive: {class: MiniSeedPublisher, path: archive}}
  Journal: {path: journal}
"""


def written(folder: Path, journal: str = "{path: journal}", text: str = STATION) -> Path:
    file = folder / "station.yaml"
    file.write_text(text.replace("{path: journal}", journal))
    return file


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def test_a_journal_has_a_folder_and_limits(tmp_path: Path) -> None:
    (component,) = config.load(written(tmp_path)).components
    journal = component.journal
    assert journal is not None
    assert (journal.path, journal.max_gb, journal.max_days, journal.sync_s) == (tmp_path / "journal", 4.0, 7.0, 1.0)
    (component,) = config.load(written(tmp_path, "{path: /a, max_gb: 1, max_days: 0.5, sync_s: 0}")).components
    assert component.journal == config.JournalSettings(path=Path("/a"), max_gb=1.0, max_days=0.5, sync_s=0.0)
    assert build(component).journal == component.journal


def test_without_the_block_there_is_none(tmp_path: Path) -> None:
    (component,) = config.load(written(tmp_path, text=STATION.replace("  Journal: {path: journal}\n", ""))).components
    assert component.journal is None
    assert build(component).journal is None


@pytest.mark.parametrize(
    ("journal", "problem"),
    [
        ("{}", "5: AE.Journal.path: is missing; it has no default"),
        ("here", "5: AE.Journal: 'here' is wrong; it should be a mapping such as {path: journal}"),
        ('{path: ""}', "5: AE.Journal.path: is empty; it should be a path"),
        ("{path: a, max_gb: 0.01}", "5: AE.Journal.max_gb: 0.01 is wrong; it should be greater than or equal to 0.1"),
        ("{path: a, max_days: 0}", "5: AE.Journal.max_days: 0 is wrong; it should be greater than 0"),
        ("{path: a, sync_s: -1}", "5: AE.Journal.sync_s: -1 is wrong; it should be greater than or equal to 0"),
        (
            "{path: a, sync: 1}",
            "5: AE.Journal.sync: unknown key; did you mean 'sync_s'? known: path, max_gb, max_days, sync_s",
        ),
    ],
)
def test_mistakes_are_told(tmp_path: Path, journal: str, problem: str) -> None:
    assert problems(written(tmp_path, journal)) == [problem]


def test_a_journal_belongs_to_one_component(tmp_path: Path) -> None:
    other = STATION.partition("AE:")[2].replace("65535", "65534").replace("path: archive", "path: b")
    (problem,) = problems(written(tmp_path, text=f"{STATION}BE:{other}"))
    assert problem.endswith(f"journal {tmp_path / 'journal'} is what AE.Journal has already; give each its own")


async def test_what_a_device_sends_is_in_the_journal_and_in_the_archive(tmp_path: Path) -> None:
    samples = np.arange(100, dtype="<i4")
    with Streamer([Channel(1, 100.0, samptype="int32")], port=0) as device:
        text = STATION.replace("port: 65535", f"port: {device.port}")
        (component,) = config.load(written(tmp_path, text=text)).components
        server: Any = build(component)
        task = asyncio.ensure_future(server.serve())
        await asyncio.to_thread(device.wait_for_client, 30.0)
        for index in range(50):
            device.feed_data(1, START_NS + index * 10**9, samples + 100 * index)
        await until(lambda: server.stats.report().get("XX.AE.00.HHZ", {}).get("packets") == 50)
        server.stop()
        await task
    found = archived(tmp_path / "archive")
    assert [value for values in found.values() for _, value in values] == list(range(5000))
    with StoreView.of(tmp_path / "journal") as view:
        entries = view.read(view.reader()).entries
        cursor = view.cursors()["archive"]
        assert cursor.position == view.end_position
    assert sum(item.count for item in (decode(each).item for each in entries) if not isinstance(item, bytes)) == 50


async def test_a_journal_that_another_process_has_is_told(tmp_path: Path) -> None:
    (component,) = config.load(written(tmp_path)).components
    with Store(tmp_path / "journal"), pytest.raises(ComponentError, match=r"the journal cannot be opened: .*journal"):
        await build(component).serve()
