"""ISIReceiver and the file of its positions."""

import asyncio
from pathlib import Path

import pytest

from rawdaq.delivery.records import fill_s
from rawdaq.errors import ComponentError
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.receivers.isi import ISIReceiver
from rawdaq.receivers.isi.positions import Positions
from tests.helpers import until
from tests.isi.server_peer import IsiServerPeer
from tests.receivers.isi.running import STATION, add, receiving

WRONG = [
    ("{", "holds no positions of an ISI server"),
    ('{"format": 1, "x": 2}', "x: Extra inputs"),
    ('{"streams": {"A": {"end_ns": 1, "next_ns": 2, "pieces": []}}}', "streams.A.pieces: Tuple should have at least 1"),
    ('{"streams": {"A": {"end_ns": 1.5, "next_ns": 2, "pieces": [[1, 2]]}}}', "streams.A.end_ns: Input should be"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
async def test_a_file_with_something_else_is_not_used(text: str, words: str, tmp_path: Path) -> None:
    state = tmp_path / "positions"
    state.write_text(text)
    receiver = ISIReceiver([], STATION, host="127.0.0.1", state=state)
    with pytest.raises(ComponentError, match=words):
        await receiver.serve()


async def test_a_file_that_cannot_be_read_is_reported_with_a_remedy(tmp_path: Path) -> None:
    receiver = ISIReceiver([], STATION, host="127.0.0.1", state=tmp_path)
    with pytest.raises(ComponentError, match=r"cannot read the positions in .*: Is a directory; make it readable"):
        await receiver.serve()


async def test_a_file_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.resuming.receiver._SAVE_S", 0.01)
    peer, state = IsiServerPeer(), tmp_path / "folder" / "positions"
    add(peer, 0)
    async with peer.listening() as port, receiving(port, state=state) as (receiver, _):
        for second in range(1, 4):
            await until(lambda: receiver.receiver_status()["state_failure"])
            add(peer, second)
        state.parent.mkdir()
        add(peer, 5)
        await until(lambda: "is written again" in caplog.text)
    assert len([line for line in caplog.messages if "No such file" in line]) == 1


async def test_what_comes_while_the_rest_is_delivered_is_not_in_the_file_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.resuming.receiver._SAVE_S", 0.0)
    state = tmp_path / "positions"
    receiver = ISIReceiver([], STATION, host="127.0.0.1", state=state)

    async def delivered() -> None:
        assert receiver.feed.positions.listed_ns is not None
        receiver.feed.positions.listed_ns += 1

    monkeypatch.setattr(receiver, "delivered", delivered)
    receiver.feed.positions.listed_ns = 7
    receiver._has_new.set()
    saving = asyncio.ensure_future(receiver.ct_save())
    await until(state.exists)
    saving.cancel()
    assert Positions.model_validate_json(state.read_text()).listed_ns == 7


async def test_positions_wait_until_records_of_slow_streams_are_made(tmp_path: Path) -> None:
    archive = MiniSeedPublisher(tmp_path / "archive")
    peer = IsiServerPeer()
    peer.add("aak", "lhz", "00", 0.0, 0.1, [1, 2, 3])
    async with peer.listening() as port, receiving(port, archive, state=tmp_path / "positions") as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.feed.lowest_rate_hz == 0.1
        assert fill_s([archive], receiver.feed.lowest_rate_hz) > 200.0
    assert (tmp_path / "positions").exists()
