"""What a `ReceiverServer` publishes and answers."""

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio

from rawdaq.errors import CommandError
from rawdaq.miniseed.maker import RecordFormat
from rawdaq.packet import Packet
from rawdaq.protocols import command
from tests.helpers import until
from tests.makers import STREAM, packet
from tests.names import NAME, Names
from tests.servers import Idle, Keeper, PullRelay, UdpRelay, ask, serving


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


async def test_a_relay_reads_no_faster_than_its_publishers_deliver() -> None:
    class Gated(Keeper):
        queue_packets = 10
        gate = asyncio.Event()

        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await self.gate.wait()
            await super().deliver(batch)

    keeper = Gated()
    server = UdpRelay("127.0.0.1", 0, [keeper])
    sent = [b"%d" % index for index in range(30)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        async with serving(server):
            for data in sent[:20]:
                sender.sendto(data, ("127.0.0.1", server.first.port))
            await until(lambda: server.first.status()["held"] == ["a publisher is full: keeper"])
            waiting = server.first_protocol.buffer.qsize()
            for data in sent[20:]:
                sender.sendto(data, ("127.0.0.1", server.first.port))
            for _ in range(20):
                await asyncio.sleep(0)
            assert server.first_protocol.buffer.qsize() == waiting
            keeper.gate.set()
            await until(lambda: len(keeper.kept) == len(sent))
            assert server.first.status()["held"] == []
    assert keeper.kept == sent


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


async def test_a_stream_is_not_silent_while_reading_is_paused_by_command() -> None:
    server = Idle([Keeper()])
    server.silent_after_s = 0.01
    async with serving(server):
        await server.publish(packet())
        server.cmd_pause()
        assert not server.stats.streams[STREAM].arrived_s
        server.cmd_resume()
        await until(lambda: server.stats.streams[STREAM].report()["silent_s"])


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

        def try_deliver(self, batch: Sequence[Any]) -> bool:
            return True

    class Endless(Idle):
        async def ct_source(self) -> None:
            for index in range(1_000_000):
                await self.publish(packet(index, size=1))

    server = Endless([AtOnce()])
    asyncio.get_running_loop().call_soon(server.stop)
    await server.serve()
    assert server.stats.streams[STREAM].packets < 1_000_000


async def test_the_monitor_gets_a_message_a_second_at_any_address_of_its_name(names: Names) -> None:
    context = zmq.asyncio.Context()
    monitor = context.socket(zmq.PULL)
    port = monitor.bind_to_random_port("tcp://127.0.0.1")
    server = UdpRelay("127.0.0.1", 0, [])
    server.monitor_address = f"tcp://{NAME}:{port}"
    server.mon.register_data_packet()
    async with serving(server):
        async with asyncio.timeout(20):
            topic, text = await monitor.recv_multipart()
    context.destroy(linger=0)
    assert topic == b"~monitor"
    message = json.loads(text)
    assert (message["name"], message["data_packets"]) == ("UdpRelay", 1)


async def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from rawdaq.process import commands

    class Hanging(Idle):
        async def cmd_hang(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(commands, "COMMAND_TIMEOUT_S", 0.01)
    with pytest.raises(CommandError, match="did not end within"):
        await commands.call(Hanging(), "hang", [])


async def test_a_long_wait_for_a_publisher_is_told_and_its_end_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.delivery.backpressure._LOG_AFTER_S", 0.01)
    gate = asyncio.Event()

    class Slow(Keeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            await gate.wait()

    slow = Slow()
    slow.queue_packets = 1
    server = Idle([slow])
    async with serving(server):
        publishing = asyncio.ensure_future(server.publish([packet(0), packet(1)]))
        await until(lambda: "reading is held: keeper cannot take more" in caplog.text)
        assert not server.stats.streams[STREAM].arrived_s, "a stream that is not read is not silent"
        gate.set()
        await publishing
        assert server.stats.streams[STREAM].arrived_s
    assert "reading again after" in caplog.text
