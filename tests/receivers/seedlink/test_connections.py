"""SeedLinkReceiver and connections that end, stay silent, or speak another version."""

import pytest

from tests.helpers import until
from tests.receivers.seedlink.running import receiving, seconds, stored
from tests.seedlink_peer import SeedLinkPeer


async def test_a_silent_server_is_asked_whether_it_is_there() -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, keep_alive_s=0.05, timeout_s=30.0) as (receiver, _):
        await until(lambda: peer.infos.count("ID") >= 4)
        assert receiver.endpoint.connections == 1


async def test_a_server_that_does_not_answer_any_more_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, keep_alive_s=0.05, timeout_s=0.2) as (receiver, keeper):
        await until(lambda: keeper.packets)
        peer.is_mute = True
        await until(lambda: "sent nothing for 0.2 s" in caplog.text)
        peer.is_mute = False
        await until(lambda: receiver.endpoint.connections >= 2)


async def test_an_end_that_was_not_asked_for_is_a_lost_connection(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer()
    peer.ends = True
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, start="earliest") as (receiver, keeper):
        await until(lambda: receiver.endpoint.connections >= 3)
        assert "the server ended the connection" in caplog.text
    assert seconds(keeper.packets) == [0]


async def test_a_server_that_closes_is_called_again(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with receiving(1, start="earliest") as (receiver, keeper):
        async with peer.listening() as port:
            receiver.endpoint.port = port
            await until(lambda: keeper.packets)
        await until(lambda: "the server ended the connection" in caplog.text)


async def test_the_wanted_version_is_spoken_or_the_reason_logged(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(4)
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, protocol="3.1") as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.receiver_status()["version"] == "3.1"
    old = SeedLinkPeer(3)
    async with old.listening() as port, receiving(port, protocol="4.0"):
        await until(lambda: "the server does not speak SeedLink 4.0" in caplog.text)


async def test_a_selector_that_the_server_s_version_cannot_say_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    peer = SeedLinkPeer(3)
    async with peer.listening() as port, receiving(port, stations={"XX_AAA": ["*.3"]}):
        await until(lambda: "SeedLink 3 cannot say the selector *.3" in caplog.text)


async def test_a_server_that_does_not_say_what_it_is_is_read_all_the_same() -> None:
    peer = SeedLinkPeer(3)
    peer.refused_infos = {"ID", "STATIONS"}
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, stations={"*": []}) as (receiver, keeper):
        await until(lambda: keeper.packets)
        assert receiver.feed.positions.started_ns is None
    assert peer.violations == ["version 3: STATION * *"]  # which not all servers know, but what else is there to ask


async def test_it_can_wait_for_ever_without_a_question() -> None:
    peer = SeedLinkPeer()
    await peer.add(stored(0))
    async with peer.listening() as port, receiving(port, keep_alive_s=0.0, timeout_s=0.0) as (_, keeper):
        await until(lambda: keeper.packets)
    assert peer.infos == ["ID"]
