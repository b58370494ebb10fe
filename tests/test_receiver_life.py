"""How a `ReceiverServer` starts, fails and ends."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Sequence

import pytest

from rawdaq.errors import ComponentError
from rawdaq.packet import Packet
from rawdaq.process.signals import serve_until_signal
from rawdaq.publisher import PublisherUnavailable
from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.listening import UdpEndpoint
from tests.helpers import DEADLINE_S, until
from tests.servers import Datagrams, Idle, Keeper, serving


async def test_a_coroutine_that_fails_stops_the_server_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Idle):
        async def ct_fail(self) -> None:
            raise KeyError("bug")

    keeper = Keeper()
    with pytest.raises(ComponentError, match="ct_fail ended with KeyError"):
        await Broken([keeper]).serve()
    assert keeper.closed == 1
    assert "Traceback" in caplog.text


async def test_what_two_tasks_end_with_is_told_once_and_what_is_lost_with_it_truly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Closed(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            is_closed.set()
            raise ComponentError("the pipe is closed")

        async def watch(self) -> None:
            await is_closed.wait()
            raise ComponentError("the pipe is closed")

    is_closed = asyncio.Event()
    server = Idle([Closed()])
    async with serving(server) as task:
        await server.publish(b"data")
        with pytest.raises(ComponentError, match=r"stopped: the pipe is closed$"):
            await task
    told = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert [record.getMessage() for record in told] == ["the pipe is closed"]
    assert "keeper (the pipe is closed): 1 message (4 bytes)" in caplog.text


async def test_a_server_without_sockets_is_refused_with_a_remedy() -> None:
    server = ReceiverServer("127.0.0.1", 0, [], "Nothing")
    with pytest.raises(ComponentError, match="call setup_udp"):
        await server.serve()


@pytest.mark.parametrize("kind", ["setup_udp", "setup_stream"])
async def test_a_port_in_use_is_named_with_a_remedy(kind: str) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "setup_udp" else socket.SOCK_STREAM)
    with contextlib.closing(taken):
        taken.bind(("127.0.0.1", 0))
        if kind == "setup_stream":
            taken.listen()
        port = taken.getsockname()[1]
        server = Idle()
        getattr(server, kind)(Datagrams if kind == "setup_udp" else asyncio.Protocol, port=port)
        with pytest.raises(ComponentError, match=rf"cannot listen on ... 127.0.0.1:{port}: .*another program uses it"):
            await server.serve()


async def test_a_server_for_which_the_system_has_no_socket_left_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    server = Idle()
    server.setup_stream(asyncio.Protocol)
    monkeypatch.setattr(socket, "socket", exhausted)
    reason = (
        r"cannot listen on TCP 127.0.0.1:0: Too many open files; raise the limit \(ulimit -n; Limit.*, or let fewer"
    )
    with pytest.raises(ComponentError, match=reason):
        await server.serve()


async def test_a_start_that_takes_too_long_is_given_up_when_there_is_a_limit() -> None:
    class Slow(UdpEndpoint):
        async def open(self) -> None:
            await asyncio.Event().wait()

    server = Idle()
    server.add_endpoint(Slow(Datagrams, "127.0.0.1", 0))
    server.start_timeout_s = 0.01
    with pytest.raises(ComponentError, match=r"Idle did not open within 0\.01 s: do its disks and networks answer\?"):
        await server.serve()


async def test_a_timeout_of_an_endpoint_is_not_taken_for_that_of_the_start() -> None:
    class Late(UdpEndpoint):
        async def open(self) -> None:
            raise TimeoutError("the name server is asleep")

    server = Idle()
    server.add_endpoint(Late(Datagrams, "127.0.0.1", 0))
    with pytest.raises(TimeoutError, match="the name server is asleep"):
        await server.serve()


async def test_a_publisher_that_cannot_close_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Keeper):
        async def aclose(self) -> None:
            raise OSError("gone")

    server = Idle([Stuck()])
    async with serving(server) as task:
        pass
    with pytest.raises(ComponentError, match="did not close"):
        await task
    assert "gone" in caplog.text


async def test_publishers_are_closed_side_by_side() -> None:
    class Waiting(Keeper):
        async def aclose(self) -> None:
            await all_closing.wait()
            await super().aclose()

    all_closing, keepers = asyncio.Barrier(3), [Waiting() for _ in range(3)]
    async with serving(Idle(keepers)) as task:
        pass
    await task
    assert [keeper.closed for keeper in keepers] == [1, 1, 1]


async def test_a_publisher_that_does_not_close_is_given_up_and_keeps_no_other_from_it() -> None:
    class Stuck(Keeper):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    keepers = [Keeper(), Stuck(), Keeper()]
    server = Idle(keepers)
    server.stop_timeout_s = 0.01
    async with serving(server) as task:
        pass
    with pytest.raises(ComponentError, match=r"keeper did not close within 0\.0. s; Daemon\.stop_timeout_s gives it"):
        await task
    assert [keeper.closed for keeper in keepers] == [1, 0, 1]


async def test_to_close_a_publisher_has_what_delivering_has_left_and_as_long_again() -> None:
    keeper = Keeper()
    server = Idle([keeper])
    server.stop_timeout_s = 3600.0
    async with serving(server) as task:
        await server.publish(b"data")
    await task
    assert 1.9 * 3600 < keeper.close_timeout_s < 2 * 3600


async def test_all_that_went_wrong_is_told_by_the_publisher_that_knows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hung(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=self.close_timeout_s)
            raise ComponentError("its disk does not answer")

    monkeypatch.setattr("rawdaq.delivery.closing._LATE_S", 3600.0)
    server = Idle([Hung()])
    server.stop_timeout_s = 0.05
    async with serving(server) as task:
        await server.publish(b"data")
    with pytest.raises(ComponentError, match=r"keeper .*: 1 message .*; publisher keeper: its disk does not answer"):
        await task


async def test_a_command_socket_that_cannot_be_bound_stops_the_server() -> None:
    server = Idle()
    server.command_address = "ipc:///does/not/exist/sock"
    with pytest.raises(ComponentError, match="cannot answer commands at"):
        await server.serve()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_stop_all_servers_of_the_loop_in_order(number: signal.Signals) -> None:
    keepers = [Keeper(), Keeper()]
    servers = [Idle([keeper]) for keeper in keepers]
    task = asyncio.ensure_future(serve_until_signal(servers))
    await until(lambda: all(server.cmd_status()["state"] == "running" for server in servers))
    os.kill(os.getpid(), number)
    async with asyncio.timeout(20):
        await task
    assert [keeper.closed for keeper in keepers] == [1, 1]


async def test_sigusr1_and_the_command_retry_try_paused_publishers_at_once() -> None:
    class Away(Keeper):
        tries, has_tried = 0, False

        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            self.tries, self.has_tried = self.tries + 1, True
            if self.tries < 12:
                raise PublisherUnavailable("it is away")
            await super().deliver(batch)

    keeper = Away()
    server = Idle([keeper])
    task = asyncio.ensure_future(serve_until_signal([server]))
    await until(lambda: server.cmd_status()["state"] == "running")
    assert server.cmd_retry() == "no publisher is paused"
    await server.publish(b"1")
    while keeper.tries < 11:  # by its own pauses that would take minutes
        keeper.has_tried = False
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: keeper.has_tried)
    server.cmd_retry()
    await until(lambda: keeper.kept == [b"1"])
    server.stop()
    await task


async def test_a_parent_may_let_a_hangup_be_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        server = Idle()
        task = asyncio.ensure_future(serve_until_signal([server]))
        await until(lambda: server.cmd_status()["state"] == "running")
        os.kill(os.getpid(), signal.SIGHUP)
        assert server.cmd_ping() == "pong"
        assert not task.done()
        server.stop()
        await task
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_one_server_that_fails_stops_the_others_in_order() -> None:
    class Broken(Idle):
        async def ct_fail(self) -> None:
            raise ComponentError("the antenna fell off")

    keeper = Keeper()
    with pytest.raises(ComponentError, match="the antenna fell off"):
        await serve_until_signal([Idle([keeper]), Broken()])
    assert keeper.closed == 1


def test_run_serves_until_it_is_stopped_and_closes_its_loop() -> None:
    class Brief(Idle):
        async def ct_end(self) -> None:
            self.stop()

    server = Brief()
    server.run()
    assert server.loop.is_closed()


async def test_at_a_stop_all_endpoints_read_what_had_arrived_at_the_same_time() -> None:
    meeting = asyncio.Barrier(2)

    class Late(UdpEndpoint):
        async def read_out(self, timeout_s: float) -> str | None:
            await meeting.wait()
            return None

    server = Idle()
    server.endpoints += [Late(asyncio.DatagramProtocol, "127.0.0.1", 0) for _ in range(2)]
    async with serving(server) as task:
        server.stop()
        async with asyncio.timeout(DEADLINE_S):
            await task


async def test_what_a_stop_could_not_deliver_is_told_and_no_success() -> None:
    class Stuck(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await asyncio.Event().wait()

    server = Idle([Stuck()])
    server.stop_timeout_s = 0.05
    async with serving(server) as task:
        await server.publish(b"data")
    with pytest.raises(ComponentError, match=r"lost: keeper .it was still busy.: 1 message"):
        await task
