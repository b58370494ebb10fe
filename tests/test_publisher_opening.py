"""Publishers that cannot open when a component starts: paused with the reason, tried again, refused where asked."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from rawdaq.delivery import fanout
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Packet
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.zmq_any import ZMQPublisher
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from tests.helpers import until
from tests.makers import packet
from tests.servers import Idle, Keeper, serving, shown_publisher


class Closed(Keeper):
    """Cannot open while it has failures; ends its component when it gets something before."""

    def __init__(self, *failures: Exception, name: str = "closed") -> None:
        super().__init__()
        self.name = name
        self.failures = list(failures)
        self.attempts = 0
        self.is_open = self.is_watched = False

    async def open(self) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.is_open = True

    async def watch(self) -> None:
        assert self.is_open
        self.is_watched = True
        await super().watch()

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        assert self.is_open
        await super().deliver(batch)

    def try_deliver(self, batch: Sequence[Packet | bytes]) -> bool:
        assert self.is_open
        self.kept += batch
        return True


@pytest.mark.parametrize(
    "failure",
    [ComponentError("port 9004 is held"), PublisherUnavailable("port 9004 is held"), OSError("port 9004 is held")],
)
async def test_what_cannot_open_is_paused_and_opened_later_and_the_component_runs(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    good, closed = Keeper(), Closed(*[failure] * 2)
    server = Idle([good, closed])
    async with serving(server) as task:
        await server.publish(b"data")
        await until(lambda: good.kept)
        shown = shown_publisher(server, "closed")
        assert (shown["state"], shown["paused_reason"], shown["waiting"]) == ("paused", "port 9004 is held", 1)
        assert not closed.kept
        assert not closed.is_watched
        assert server.cmd_retry() == "trying closed"
        await until(lambda: closed.attempts == 2)
        server.cmd_retry()
        await until(lambda: closed.kept)
        shown = shown_publisher(server, "closed")
        assert (shown["state"], shown["delivered"]) == ("running", 1)
        await until(lambda: closed.is_watched)
    await task
    assert caplog.text.count("port 9004 is held; it tries again by itself") == 1
    assert "closed is open after" in caplog.text


async def test_what_stays_closed_is_lost_at_the_end_and_that_is_told() -> None:
    server = Idle([Closed(*[ComponentError("the folder is not mounted")] * 100)])
    server.stop_timeout_s = 0.1
    async with serving(server) as task:
        await server.publish(b"data")
    with pytest.raises(ComponentError, match=r"lost: closed .the folder is not mounted.: 1 message"):
        await task


async def test_what_stays_closed_and_missed_nothing_is_no_failure() -> None:
    async with serving(Idle([Closed(*[ComponentError("the folder is not mounted")] * 100)])) as task:
        pass
    await task


async def test_options_that_cannot_be_end_the_start_and_what_is_open_is_closed() -> None:
    good = Keeper()
    with pytest.raises(ComponentError, match=r"publisher closed: mode local is not for 192\.0\.2\.7"):
        await Idle([good, Closed(InvalidValue("mode local is not for 192.0.2.7"))]).serve()
    assert good.closed == 1


async def test_a_strict_start_ends_with_what_cannot_open() -> None:
    good = Keeper()
    server = Idle([good, Closed(ComponentError("port 9004 is held"))])
    server.needs_all_publishers = True
    with pytest.raises(ComponentError, match="publisher closed: port 9004 is held"):
        await server.serve()
    assert good.closed == 1


async def test_one_that_opens_for_ever_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Closed):
        async def open(self) -> None:
            await answers.wait()
            await super().open()

    monkeypatch.setattr(fanout, "_OPEN_PATIENCE_S", 0.01)
    answers = asyncio.Event()
    good, hanging = Keeper(), Hanging()
    server = Idle([hanging, good])
    async with serving(server) as task:
        await server.publish(b"data")
        await until(lambda: good.kept)
        reason = shown_publisher(server, "closed")["paused_reason"]
        assert reason == "it is still being opened: does its disk or network answer?"
        answers.set()
        await until(lambda: hanging.kept)
        assert hanging.attempts == 1
    await task


@pytest.mark.parametrize("kind", ["ZMQTCPPublisher", "ZMQPublisher"])
async def test_a_live_stream_whose_port_is_held_holds_up_nothing_and_comes_up_later(kind: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        live = (
            ZMQTCPPublisher("127.0.0.1", port, "live")
            if kind == "ZMQTCPPublisher"
            else ZMQPublisher("live", bind=f"tcp://127.0.0.1:{port}")
        )
        live.queue_packets = 10
        good = Keeper()
        server = Idle([live, good])
        async with serving(server) as task:
            for _ in range(3):
                await server.publish([packet(index) for index in range(10)])
            await until(lambda: len(good.kept) == 30)
            shown = shown_publisher(server, "live")
            assert f"{port}: Address already in use" in str(shown["paused_reason"])
            assert (shown["policy"], shown["waiting"], shown["dropped"]) == ("drop_oldest", 10, 20)
            holder.close()
            server.cmd_retry()
            await until(lambda: shown_publisher(server, "live")["state"] == "running")
            await until(lambda: shown_publisher(server, "live")["waiting"] == 0)
            await server.publish([packet(index) for index in range(10)])
            assert shown_publisher(server, "live")["policy"] == "block"
        await task
