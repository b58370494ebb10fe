"""A serial line is read in pieces, held, lost and found again."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.errors import ComponentError
from rawdaq.sockets import serial_line
from rawdaq.sockets.serial_line import SerialEndpoint
from tests.helpers import until
from tests.serial_lines import SerialLine

LOG = logging.getLogger("rawdaq.test")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    made = SerialLine(tmp_path / "gnss")
    yield made
    made.unplug()


async def test_a_line_is_read_and_opened_again_when_it_is_there(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serial_line, "_FIRST_PAUSE_S", 0.01)
    taken: list[bytes] = []
    endpoint = SerialEndpoint(str(line.device), 9600, lambda _, chunk: taken.append(chunk), LOG)
    caplog.set_level(logging.INFO)
    await endpoint.open()
    running = asyncio.ensure_future(endpoint.run())
    await until(lambda: endpoint.last_failure == "No such file or directory")
    for round_trip in range(2):
        line.plug_in()
        await until(lambda: endpoint.status()["connected"])
        line.send(b"abc")
        await until(lambda: b"".join(taken) == b"abc")
        endpoint.hold("paused")
        line.send(b"def")
        assert b"".join(taken) == b"abc"
        endpoint.release("paused")
        await until(lambda: b"".join(taken) == b"abcdef")
        taken.clear()
        assert endpoint.openings == round_trip + 1
        line.unplug()
        await until(lambda: not endpoint.status()["connected"])
    await until(lambda: endpoint.last_failure == "No such file or directory")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await endpoint.aclose()
    await endpoint.aclose()
    assert (endpoint.address, endpoint.bytes) == (str(line.device), 12)
    told = [message.split(": ")[-1].split(" after")[0] for message in caplog.messages]
    assert told[0].startswith("No such file or directory; it is opened again")
    assert [message for message in told if "is there again" in message] == [
        f"serial line {line.device} is there again"
    ] * 2
    assert len(told) == 5  # one line for each outage, whatever goes wrong meanwhile


async def test_a_speed_that_cannot_be_is_no_traceback(line: SerialLine) -> None:
    line.plug_in()
    endpoint = SerialEndpoint(str(line.device), -5, lambda _, chunk: None, LOG)
    running = asyncio.ensure_future(endpoint.run())
    await until(lambda: endpoint.last_failure)
    assert "-5" in str(endpoint.last_failure)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ComponentError, match=r"pip install 'rawdaq\[serial\]'"):
        await SerialEndpoint("/dev/ttyUSB0", 9600, lambda _, chunk: None, LOG).open()
