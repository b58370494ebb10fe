"""SeedLinkReceiver and the file of its positions."""

import threading
from pathlib import Path

import pytest

from rawdaq.delivery.records import fill_s
from rawdaq.errors import ComponentError
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.seedlink import SeedLinkReceiver
from tests.helpers import until
from tests.receivers.seedlink.running import STATION, receiving, stored
from tests.seedlink_peer import SeedLinkPeer


@pytest.mark.parametrize(("text", "words"), [("{", "holds no positions"), ('{"format": 1, "x": 2}', "x: Extra inputs")])
async def test_a_file_with_something_else_is_not_used(text: str, words: str, tmp_path: Path) -> None:
    state = tmp_path / "positions"
    state.write_text(text)
    receiver = SeedLinkReceiver([], STATION, host="127.0.0.1", stations={"*": []}, state=state)
    with pytest.raises(ComponentError, match=words):
        await receiver.serve()


async def test_a_file_that_cannot_be_read_is_reported_with_a_remedy(tmp_path: Path) -> None:
    receiver = SeedLinkReceiver([], STATION, host="127.0.0.1", stations={"*": []}, state=tmp_path)
    with pytest.raises(ComponentError, match=r"cannot read the positions in .*: Is a directory; make it readable"):
        await receiver.serve()


async def test_a_file_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.resuming.receiver._SAVE_S", 0.01)
    peer, state = SeedLinkPeer(), tmp_path / "folder" / "positions"
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, state=state) as (receiver, _):
        for second in range(1, 4):
            await until(lambda: receiver.receiver_status()["state_failure"])
            await peer.add(stored(second))
        state.parent.mkdir()
        await peer.add(stored(5))
        await until(lambda: "is written again" in caplog.text)
    assert len([line for line in caplog.messages if "No such file" in line]) == 1


async def test_positions_wait_until_records_of_slow_streams_are_made(tmp_path: Path) -> None:
    archive = MiniSeedPublisher(tmp_path / "archive")
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, archive, state=tmp_path / "positions") as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert fill_s([archive], receiver.feed.lowest_rate_hz) == 10.0
        receiver.feed.lowest_rate_hz = 1.0
        assert fill_s([archive], receiver.feed.lowest_rate_hz) == 200.0
    assert (tmp_path / "positions").exists()


async def test_a_disk_that_hangs_does_not_hold_a_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()

    def hang(path: Path, text: bytes) -> None:
        hung.wait()

    monkeypatch.setattr("rawdaq.resuming.positions_file.replace_file", hang)
    monkeypatch.setattr("rawdaq.resuming.positions_file._WRITE_S", 0.05)
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, state=tmp_path / "positions") as (_, keeper):
        await until(lambda: keeper.packets)
    hung.set()
    assert "its disk does not answer; a restart would go on where it was written last" in caplog.text
