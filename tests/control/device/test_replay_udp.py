"""A capture of datagrams that is replayed."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from rawdaq.capture.file import Kind
from rawdaq.control.device import replay as device_replay
from rawdaq.receivers.raw_udp.channels import UdpChannel
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver
from tests.control.captures import STATION, Replaying, Row, listening, packet, write
from tests.helpers import until
from tests.packet_keeper import PacketKeeper


def test_datagrams_come_as_they_were_with_their_pauses_and_one_port_for_each_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_replay, "_MAX_SENDERS", 2)
    sent = [("a", b"one"), ("b", b"\xff\x00"), ("a", b""), ("c", bytes(1400))]
    rows: list[Row] = [(Kind.DATAGRAM, 9000, number / 20, peer, data) for number, (peer, data) in enumerate(sent)]
    rows.insert(2, (Kind.LOST, 0, 0.1, "", b"1 entries"))
    with listening() as (listener, port):
        began_s = time.monotonic()
        with Replaying(write(tmp_path / "a", rows), 1.0, ("127.0.0.1", port)) as playing:
            heard = [listener.recvfrom(2000) for _ in sent]
            assert playing.result() == "replayed 4 datagrams, 1405 bytes"
        assert time.monotonic() - began_s >= 0.14
    assert [data for data, _ in heard] == [data for _, data in sent]
    ports = [address[1] for _, address in heard]
    assert ports[0] == ports[2] == ports[3] != ports[1]
    assert "1 entries are missing here" in caplog.text


def test_datagrams_go_out_without_a_receiver(tmp_path: Path) -> None:
    with listening() as (_, port):
        pass
    rows: list[Row] = [(Kind.DATAGRAM, 1, 0.0, "a", b"x")] * 20
    with Replaying(write(tmp_path / "a", rows), None, ("127.0.0.1", port)) as playing:
        assert playing.result() == "replayed 20 datagrams, 20 bytes"


def test_a_stop_ends_the_pause_between_datagrams(tmp_path: Path) -> None:
    rows: list[Row] = [(Kind.DATAGRAM, 1, number * 3600.0, "a", b"x") for number in range(3)]
    with listening() as (listener, port), Replaying(write(tmp_path / "a", rows), 1.0, ("127.0.0.1", port)) as playing:
        assert listener.recv(10) == b"x"
        playing.stop.set()
        assert playing.result() == "replayed 1 datagrams, 1 bytes"


@contextlib.asynccontextmanager
async def receiving_datagrams(**options: Any) -> AsyncGenerator[tuple[RawUDPReceiver, int, PacketKeeper]]:
    """Run a receiver of datagrams; yield it, its port, and what keeps its packets."""
    keeper = PacketKeeper()
    channels = {1: UdpChannel(code="HHZ", rate_hz=100.0)}
    receiver = RawUDPReceiver(
        [keeper], STATION, channels=channels, ip="127.0.0.1", ports=[0], version="1.1", reorder_s=0.0, **options
    )
    task = asyncio.ensure_future(receiver.serve())
    try:
        await until(lambda: receiver.endpoints[0].port or task.done())
        yield receiver, receiver.endpoints[0].port, keeper
    finally:
        receiver.stop()
        await task


async def test_datagrams_that_went_wrong_give_the_same_packets_and_the_same_refusals(tmp_path: Path) -> None:
    datagrams = [packet(0), packet(1)[:-7], b"garbage", packet(2), b"", packet(5), packet(2), b"\xff" * 419]
    capture = tmp_path / "udp.capture"
    async with receiving_datagrams(capture=capture) as (receiver, port, keeper):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            for datagram in datagrams:
                device.sendto(datagram, ("127.0.0.1", port))
        await until(lambda: keeper.packets and receiver.refusals.by_reason.total() >= 4)
    packets, refused = keeper.content(), receiver.refusals.by_reason
    assert len(packets) in (3, 4)
    async with receiving_datagrams() as (again, port, keeper):
        with Replaying(capture, None, ("127.0.0.1", port)) as playing:
            size_bytes = sum(map(len, datagrams))
            assert await asyncio.to_thread(playing.result) == f"replayed 8 datagrams, {size_bytes} bytes"
        await until(lambda: again.refusals.by_reason == refused and len(keeper.packets) == len(packets))
    assert keeper.content() == packets
