"""SeedLinkReceiver and servers that count anew, or no longer have what is asked for."""

import json
from pathlib import Path

import pytest

from rawdaq.times import NS_PER_S
from tests.helpers import until
from tests.makers import START_NS
from tests.receivers.seedlink.running import BOTH, arrived, receiving, seconds, stored
from tests.seedlink_peer import SeedLinkPeer


@BOTH
async def test_a_server_that_was_started_anew_is_asked_by_time(version: int, tmp_path: Path) -> None:
    state = tmp_path / "positions"
    before = SeedLinkPeer(version)
    await before.add(*(stored(second, 5000 + second) for second in range(5)))
    await arrived(before, state, 5)
    after = SeedLinkPeer(version, "2026-11-29T10:00:00.000000Z")
    await after.add(*(stored(second, second) for second in range(8)))
    receiver, keeper = await arrived(after, state, 3)
    assert seconds(keeper.packets) == [5, 6, 7]
    assert receiver.feed.duplicates == 1
    (request,) = after.requests[0]
    assert request.begin_ns == START_NS + 4 * NS_PER_S
    assert after.violations == []
    # From then on by number again.
    await after.add(stored(8, 8))
    _, keeper = await arrived(after, state, 1)
    assert seconds(keeper.packets) == [8]
    assert after.requests[1][0].start == ("000008" if version == 3 else "8")


@BOTH
async def test_a_server_that_counts_anew_without_saying_so_is_noticed_by_its_numbers(
    version: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, peer = tmp_path / "positions", SeedLinkPeer(version)
    await peer.add(*(stored(second, 5000 + second) for second in range(5)))
    await arrived(peer, state, 5)
    peer.store = [stored(second, second) for second in range(3, 8)]
    async with peer.listening() as port, receiving(port, state=state) as (_, keeper):
        await until(lambda: len(peer.requests) == 2)
        await peer.add(stored(8, 8))  # only this one comes after number 5005
        await until(lambda: len(keeper.packets) == 4)
        assert "the server counts XX_AAA anew: asked for packet 5005 it sent 8" in caplog.text
    assert seconds(keeper.packets) == [5, 6, 7, 8]


async def test_numbers_of_another_version_are_not_used(tmp_path: Path) -> None:
    state, peer = tmp_path / "positions", SeedLinkPeer(3)
    await peer.add(*(stored(second, 100 + second) for second in range(3)))
    await arrived(peer, state, 3)
    newer = SeedLinkPeer(4)
    await newer.add(*(stored(second, 2**40 + second) for second in range(5)))
    _, keeper = await arrived(newer, state, 2)
    assert seconds(keeper.packets) == [3, 4]
    assert json.loads(state.read_text())["protocol"] == "4.0"


@BOTH
async def test_what_the_server_no_longer_has_is_logged(
    version: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, peer = tmp_path / "positions", SeedLinkPeer(version)
    await peer.add(stored(0), stored(1))
    await arrived(peer, state, 2)
    peer.store = [stored(5), stored(6)]
    await arrived(peer, state, 2)
    assert "XX.AAA.00.HHZ: 3.000 s are missing between packets 1 and 5: the server did not have them" in caplog.text
