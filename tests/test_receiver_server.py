import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio

from rawdaq.errors import CommandError, ComponentError
from rawdaq.packet import Packet
from rawdaq.protocols import command
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.mon_sender import ReceiverMonSender
from rawdaq.records import RecordFormat
from rawdaq.until_signal import serve_until_signal
from tests.helpers import until
from tests.makers import STREAM, packet


class Keeper(Publisher):
    def __init__(self) -> None:
        super().__init__("keeper")
        self.kept: list[Packet | bytes] = []
        self.closed = 0

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        self.kept += batch

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


class Idle(ReceiverServer):
    """Waits for what the tests do to it."""

    def __init__(self, publishers: Sequence[Publisher] = ()) -> None:
        super().__init__("127.0.0.1", 0, publishers, "Idle")
        self._setup = True

    async def cmd_slow_sum(self, args: list[str]) -> int:
        """Add numbers.

        This line is not part of the help.
        """
        await asyncio.sleep(0)
        return sum(map(int, args))

    def cmd_bytes(self) -> bytes:
        return b"\x00\xff"


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.buffer: asyncio.Queue[bytes] = asyncio.Queue(1000)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.buffer.put_nowait(data)


class UdpRelay(ReceiverServer):
    """Relays datagrams of two ports, in the manner of ssdaq's receivers."""

    def __init__(self, ip: str, port: int, publishers: Sequence[Publisher]) -> None:
        super().__init__(ip, port, publishers, "UdpRelay")
        self.first, self.first_protocol = self.setup_udp(Datagrams)
        self.second, self.second_protocol = self.setup_udp(Datagrams, port=0)
        self.mon = ReceiverMonSender("UdpRelay", self.loop, self._context)

    async def ct_relay(self) -> None:
        await self._relay(self.first_protocol)

    async def ct_relay_second(self) -> None:
        await self._relay(self.second_protocol)

    async def _relay(self, protocol: Datagrams) -> None:
        while True:
            data = await protocol.buffer.get()
            self.mon.register_data_packet()
            await self.publish(data)


class PullRelay(ReceiverServer):
    """Relays what its own zmq socket gets."""

    def __init__(self, publishers: Sequence[Publisher]) -> None:
        super().__init__("127.0.0.1", 0, publishers, "PullRelay")
        self.receiver = self._context.socket(zmq.PULL)
        self.bound_port = self.receiver.bind_to_random_port("tcp://127.0.0.1")
        self._setup = True

    async def ct_pull(self) -> None:
        while True:
            await self.publish(await self.receiver.recv())


@contextlib.asynccontextmanager
async def serving(server: ReceiverServer) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.ensure_future(server.serve())
    await until(lambda: task.done() or server.cmd_status()["state"] == "running")
    try:
        yield task
    finally:
        server.stop()
        await asyncio.wait([task])


async def ask(address: str, *words: str) -> Any:
    context = zmq.asyncio.Context()
    try:
        requester = context.socket(zmq.REQ)
        requester.connect(address)
        await requester.send_multipart(command.encode_request(words[0], words[1:]))
        async with asyncio.timeout(20):
            return command.decode_reply(await requester.recv_multipart())
    finally:
        context.destroy(linger=0)


async def test_datagrams_of_several_ports_are_relayed_and_their_rate_is_shown() -> None:
    keeper = Keeper()
    server = UdpRelay("127.0.0.1", 0, [keeper])
    async with serving(server):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for endpoint, data in ((server.first, b"one"), (server.second, b"two")):
                sender.sendto(data, ("127.0.0.1", endpoint.port))
        await until(lambda: len(keeper.kept) == 2)
        receiver: Any = server.cmd_status()["receiver"]
    assert set(keeper.kept) == {b"one", b"two"}
    assert (receiver["messages"], receiver["data_packets"]) == (2, 2)
    assert keeper.closed == 1


async def test_what_a_relay_holds_when_it_is_stopped_is_still_published() -> None:
    keeper = Keeper()
    server = UdpRelay("127.0.0.1", 0, [keeper])
    async with serving(server):
        for index in range(100):
            server.first_protocol.datagram_received(b"%d" % index, None)
    assert keeper.kept == [b"%d" % index for index in range(100)]


async def test_a_receiver_with_a_zmq_socket_of_its_own() -> None:
    keeper = Keeper()
    server = PullRelay([keeper])
    context = zmq.asyncio.Context()
    sender = context.socket(zmq.PUSH)
    sender.connect(f"tcp://127.0.0.1:{server.bound_port}")
    async with serving(server):
        await sender.send(b"message")
        await until(lambda: keeper.kept)
    context.destroy(linger=0)
    assert keeper.kept == [b"message"]


async def test_tcp_connections_get_a_protocol_each_and_the_first_is_known_beforehand() -> None:
    class Lines(asyncio.Protocol):
        def __init__(self) -> None:
            self.data = b""
            made.append(self)

        def data_received(self, data: bytes) -> None:
            self.data += data

    made: list[Lines] = []
    server = Idle()
    endpoint, first = server.setup_stream(Lines)
    async with serving(server):
        for word in (b"a", b"b"):
            _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            writer.write(word)
            await until(lambda: sum(len(protocol.data) for protocol in made) == len(endpoint.transports()))
            writer.close()
            await writer.wait_closed()
            await until(lambda: not endpoint.transports())
    assert [protocol.data for protocol in made] == [b"a", b"b"]
    assert made[0] is first


async def test_commands_are_answered_and_a_failing_one_harms_nothing(tmp_path: Path) -> None:
    server = Idle()
    server.command_address = address = f"ipc://{tmp_path}/s"
    async with serving(server):
        assert await ask(address, "ping") == "pong"
        assert await ask(address, "slow_sum", "1", "2") == 3
        assert await ask(address, "bytes") == b"\x00\xff"
        helped = await ask(address, "help")
        assert helped["slow_sum"] == "Add numbers."
        assert {"help", "ping", "status", "stats", "pause", "resume", "log_level", "stop"} <= set(helped)
        for words, text in (
            (("slow_sum", "x"), "ValueError"),
            (("nothing",), "no command 'nothing'; known are: bytes, help"),
            (("ping", "x"), "takes no arguments"),
            (("log_level", "LOUD"), "usage: log_level"),
        ):
            with pytest.raises(CommandError, match=text):
                await ask(address, *words)
        assert json.loads(json.dumps(await ask(address, "status")))["state"] == "running"
        assert await ask(address, "stats") == {}


async def test_a_request_that_is_none_gets_an_error_and_harms_nothing(tmp_path: Path) -> None:
    server = Idle()
    server.command_address = address = f"ipc://{tmp_path}/s"
    context = zmq.asyncio.Context()
    async with serving(server):
        requester = context.socket(zmq.REQ)
        requester.connect(address)
        await requester.send_multipart([b"\xff", b"garbage"])
        with pytest.raises(CommandError):
            command.decode_reply(await requester.recv_multipart())
        assert await ask(address, "ping") == "pong"
    context.destroy(linger=0)


async def test_the_stop_command_answers_and_ends_the_server(tmp_path: Path) -> None:
    server = Idle()
    server.command_address = f"ipc://{tmp_path}/s"
    async with serving(server) as task:
        assert await ask(server.command_address, "stop") == "stopping"
        async with asyncio.timeout(20):
            await task


async def test_the_log_level_can_be_read_and_set() -> None:
    server = Idle()
    before = server.cmd_log_level([])
    assert server.cmd_log_level(["debug"]) == "DEBUG"
    assert server.cmd_log_level([before]) == before


async def test_pause_holds_what_is_published_until_resume() -> None:
    keeper = Keeper()
    server = UdpRelay("127.0.0.1", 0, [keeper])
    async with serving(server):
        server.cmd_pause()
        assert server.cmd_status()["state"] == "paused"
        server.first_protocol.datagram_received(b"one", None)
        await until(server.first_protocol.buffer.empty)
        assert keeper.kept == []
        server.cmd_resume()
        await until(lambda: keeper.kept)
        assert server.cmd_status()["state"] == "running"


async def test_one_packet_many_packets_and_bytes_can_be_published() -> None:
    keeper = Keeper()
    server = Idle([keeper])
    async with serving(server):
        await server.publish(packet(0))
        await server.publish([packet(1), packet(2)])
        await server.publish(b"plain")
        await server.publish(memoryview(b"too"))
        await until(lambda: len(keeper.kept) == 5)
    assert [one.sequence if isinstance(one, Packet) else one for one in keeper.kept] == [0, 1, 2, b"plain", b"too"]


@pytest.mark.parametrize("takes_records", [False, True])
async def test_who_publishes_on_and_on_lets_others_run(takes_records: bool) -> None:
    class AtOnce(Keeper):
        record_format = RecordFormat(flush_after_s=3600.0) if takes_records else None

        def deliver_now(self, batch: Sequence[Any]) -> bool:
            return True

    class Endless(Idle):
        async def ct_source(self) -> None:
            for index in range(1_000_000):
                await self.publish(packet(index, size=1))

    server = Endless([AtOnce()])
    asyncio.get_running_loop().call_soon(server.stop)
    await server.serve()
    assert server.stats.streams[STREAM].packets < 1_000_000


async def test_a_coroutine_that_fails_stops_the_server_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Idle):
        async def ct_fail(self) -> None:
            raise KeyError("bug")

    keeper = Keeper()
    with pytest.raises(ComponentError, match="ct_fail ended with KeyError"):
        await Broken([keeper]).serve()
    assert keeper.closed == 1
    assert "Traceback" in caplog.text


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
    reason = r"cannot listen on TCP 127.0.0.1:0: Too many open files; raise the limit \(ulimit -n\), or let fewer"
    with pytest.raises(ComponentError, match=reason):
        await server.serve()


async def test_a_start_that_takes_too_long_is_given_up_when_there_is_a_limit() -> None:
    class Slow(Keeper):
        async def open(self) -> None:
            await asyncio.Event().wait()

    server = Idle([Slow()])
    server.start_timeout_s = 0.01
    with pytest.raises(ComponentError, match=r"Idle did not open within 0\.01 s: do its disks and networks answer\?"):
        await server.serve()


async def test_a_timeout_of_a_publisher_is_not_taken_for_that_of_the_start() -> None:
    class Late(Keeper):
        async def open(self) -> None:
            raise TimeoutError("the database is asleep")

    with pytest.raises(TimeoutError, match="the database is asleep"):
        await Idle([Late()]).serve()


async def test_a_publisher_that_cannot_open_is_named_and_those_before_it_are_closed() -> None:
    class Unopened(Keeper):
        async def open(self) -> None:
            raise ComponentError("port 9004 is in use")

    good = Keeper()
    with pytest.raises(ComponentError, match="publisher keeper: port 9004 is in use"):
        await Idle([good, Unopened()]).serve()
    assert good.closed == 1


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


async def test_a_command_socket_that_cannot_be_bound_stops_the_server() -> None:
    server = Idle()
    server.command_address = "ipc:///does/not/exist/sock"
    with pytest.raises(ComponentError, match="cannot answer commands at"):
        await server.serve()


async def test_the_monitor_gets_a_message_a_second_and_need_not_be_there() -> None:
    context = zmq.asyncio.Context()
    monitor = context.socket(zmq.PULL)
    port = monitor.bind_to_random_port("tcp://127.0.0.1")
    server = UdpRelay("127.0.0.1", 0, [])
    server.monitor_address = f"tcp://127.0.0.1:{port}"
    async with serving(server):
        server.mon.register_data_packet()
        async with asyncio.timeout(20):
            topic, text = await monitor.recv_multipart()
    context.destroy(linger=0)
    assert topic == b"~monitor"
    message = json.loads(text)
    assert (message["name"], message["data_packets"]) == ("UdpRelay", 1)


async def test_signals_stop_all_servers_of_the_loop_in_order() -> None:
    keepers = [Keeper(), Keeper()]
    servers = [Idle([keeper]) for keeper in keepers]
    task = asyncio.ensure_future(serve_until_signal(servers))
    await until(lambda: all(server.cmd_status()["state"] == "running" for server in servers))
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task
    assert [keeper.closed for keeper in keepers] == [1, 1]


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


async def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from rawdaq import commands

    class Hanging(Idle):
        async def cmd_hang(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(commands, "COMMAND_TIMEOUT_S", 0.01)
    with pytest.raises(CommandError, match="did not end within"):
        await commands.call(Hanging(), "hang", [])


async def test_what_a_stop_could_not_deliver_is_told_and_no_success() -> None:
    class Stuck(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await asyncio.Event().wait()

    server = Idle([Stuck()])
    server.stop_timeout_s = 0.05
    async with serving(server) as task:
        await server.publish(b"data")
    with pytest.raises(ComponentError, match="1 items of keeper"):
        await task


async def test_a_long_wait_for_a_publisher_is_told_and_its_end_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.receiver_server._TELL_HELD_S", 0.01)
    gate = asyncio.Event()

    class Slow(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await gate.wait()

    slow = Slow()
    slow.queue_packets = 1
    server = Idle([slow])
    async with serving(server):
        publishing = asyncio.ensure_future(server.publish([b"1", b"2"]))
        await until(lambda: "reading is held: keeper cannot take more" in caplog.text)
        gate.set()
        await publishing
    assert "reading again after" in caplog.text
