import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rawdaq import config
from rawdaq.errors import ComponentError
from rawdaq.publisher import OverflowPolicy
from rawdaq.station import build
from tests import outside_relay as outside
from tests.helpers import until
from tests.outside import forget


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the outside package is installed and its station file lies."""
    outside.install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    forget()
    sys.modules.pop("outside_daq", None)


def component(folder: Path, text: str = outside.STATION) -> config.ComponentSettings:
    file = folder / "station.yaml"
    file.write_text(text)
    return config.load(file).components[0]


async def test_an_outside_receiver_and_publisher_run_from_a_station_file(folder: Path) -> None:
    server: Any = build(component(folder))
    task = asyncio.ensure_future(server.serve())
    await until(lambda: server.cmd_status()["state"] == "running")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", ("127.0.0.1", server.cmd_port()))
    lines = folder / "lines.txt"
    await until(lambda: lines.exists() and lines.read_text() == "hello!")
    server.stop()
    await task


async def test_what_the_file_says_of_queues_and_the_daemon_holds(folder: Path) -> None:
    server = build(component(folder))
    publisher = server.publishers[0]
    assert (publisher.name, publisher.overflow) == ("file", OverflowPolicy.DROP_OLDEST)
    assert (publisher.queue_packets, publisher.queue_mb) == (7, 1.5)
    assert (server.monitor_address, server.stop_timeout_s) == ("tcp://127.0.0.1:9", 3)


async def test_what_the_file_does_not_say_is_as_the_class_has_it(folder: Path) -> None:
    text = outside.STATION.replace(", queue_packets: 7, queue_mb: 1.5, overflow: drop_oldest", "")
    publisher = build(component(folder, text)).publishers[0]
    assert (publisher.overflow, publisher.queue_packets) == (OverflowPolicy.BLOCK, type(publisher).queue_packets)


async def test_a_class_that_cannot_be_built_is_named_with_the_reason(folder: Path) -> None:
    text = outside.STATION.replace('class: LinePublisher, path: lines.txt, ending: "!"', "class: Unbuildable")
    with pytest.raises(ComponentError, match="Unbuildable cannot be built: Address already in use"):
        build(component(folder, text))


def test_a_class_that_is_missing_from_its_module_is_named_with_a_remedy(folder: Path) -> None:
    text = outside.STATION.replace("class: LineReceiver", "class: Gone")
    with pytest.raises(ComponentError, match=r"Gone.*reinstall the package 'outside-daq'"):
        build(component(folder, text))
