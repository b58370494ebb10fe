import asyncio
import contextlib
import random
import re
import socket
import struct
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
import pytest

from rawdaq.config.options import read_options
from rawdaq.config.settings import StationSettings
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Packet
from rawdaq.receivers.raw_tcp import RawReceiver
from rawdaq.sockets import dial_endpoint
from rawdaq.sockets.dial_endpoint import waiting_bytes
from rawdaq.stream_id import StreamId
from tests.fake_device import Described, Session, fake_device, wire, wire_1
from tests.helpers import ROOT, closed_port, until
from tests.makers import START_NS
from tests.packet_keeper import PacketKeeper

STATION = StationSettings(network="XX", code="DEMO", location="00")
CHANNELS = {1: Described()}
SAMPLES = np.arange(100, dtype="<i4")
WHOLE = wire(1, START_NS, SAMPLES.tobytes(), 100, 90)


@contextlib.asynccontextmanager
async def receiving(port: int, **options: Any) -> AsyncGenerator[tuple[RawReceiver, list[Packet]]]:
    """Run a receiver with quick reconnection; yield it and the packets that it publishes."""
    keeper = PacketKeeper()
    chosen: dict[str, Any] = {"channels": {1: "HHZ"}, "reconnect_first_s": 0.01, "reconnect_max_s": 0.02, **options}
    receiver = RawReceiver([keeper], STATION, port=port, **chosen)
    task = asyncio.ensure_future(receiver.serve())
    try:
        yield receiver, keeper.packets
    finally:
        receiver.stop()
        await task


async def serve_forever(session: Session, data: bytes, channels: dict[int, Described] = CHANNELS) -> None:
    await session.handshake(channels)
    await session.send(data)
    await session.until_closed()


async def test_samples_arrive_with_name_time_quality_and_order_of_arrival() -> None:
    async def play(session: Session) -> None:
        await serve_forever(session, WHOLE + wire(1, START_NS + 10**9, SAMPLES.tobytes(), 100, 0))

    async with fake_device(play) as port, receiving(port) as (_, packets):
        await until(lambda: len(packets) == 2)
    first, second = packets
    assert first.stream == StreamId("XX", "DEMO", "00", "HHZ")
    assert (first.start_ns, first.rate_hz, first.timing_quality, first.sequence) == (START_NS, 100.0, 90, 0)
    assert first.samples.tolist() == SAMPLES.tolist()
    assert first.received_ns > START_NS
    assert (second.start_ns, second.timing_quality, second.sequence) == (START_NS + 10**9, 0, 1)


@pytest.mark.parametrize("rate", ["62.5", "0.0166666667", "1000000", "333.333333"])
async def test_every_type_order_and_rate_that_the_protocol_can_say(rate: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rawdaq")
    kinds = [(kind, order) for kind in ("int8", "int16", "int32", "float32", "float64") for order in ("big", "little")]
    channels = {number: Described(rate, order, kind) for number, (kind, order) in enumerate(kinds)}
    arrays = {
        number: (np.arange(50) - 25).astype(np.dtype(kind).newbyteorder("<" if order == "little" else ">"))
        for number, (kind, order) in enumerate(kinds)
    }

    async def play(session: Session) -> None:
        data = b"".join(wire(number, START_NS, array.tobytes(), 50) for number, array in arrays.items())
        await serve_forever(session, data, channels)

    names = {number: f"{number:02d}.HHZ" for number in channels}
    async with fake_device(play) as port, receiving(port, channels=names) as (receiver, packets):
        await until(lambda: len(packets) == len(channels))
        assert receiver.receiver_status()["version"] == "2.0"
    for packet in packets:
        number = int(packet.stream.location)
        assert packet.samples.tolist() == arrays[number].tolist()
        assert (packet.sample_type, packet.rate_hz) == (kinds[number][0], float(rate))
        assert f"channel {number} is {packet.stream}: {rate} Hz {packet.sample_type}" in caplog.text


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_device_of_an_older_version_is_found_and_remembered(version: str) -> None:
    offered: list[str] = []

    async def play(session: Session) -> None:
        if await session.handshake(CHANNELS, version):
            offered.append("agreed")
            await session.send(wire_1(1, START_NS, SAMPLES.tobytes(), 100))
            if session.number > 4:
                await session.until_closed()
        else:
            offered.append("refused")

    async with fake_device(play) as port, receiving(port) as (receiver, packets):
        await until(lambda: offered.count("agreed") >= 3)
        await until(lambda: len(packets) >= 2)
        assert receiver.receiver_status()["version"] == version
    assert packets[0].timing_quality == 100
    refusals = {"1.1": 1, "1.0": 2}[version]
    assert offered[:refusals] == ["refused"] * refusals
    assert set(offered[refusals:]) == {"agreed"}


async def test_a_device_that_resets_the_connection_at_our_version_is_asked_for_an_older_one() -> None:
    async def play(session: Session) -> None:
        if await session.handshake(CHANNELS, "1.1"):
            await session.send(wire_1(1, START_NS, SAMPLES.tobytes(), 100))
            await session.until_closed()
        # Closing with this option sends a reset, as closing with unread bytes does.
        session.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with fake_device(play) as port, receiving(port) as (receiver, packets):
        await until(lambda: packets)
        assert receiver.receiver_status()["version"] == "1.1"


async def test_a_device_that_dies_at_our_version_is_not_read_by_an_older_one_for_ever() -> None:
    async def play(session: Session) -> None:
        if session.number == 1:  # the second connection dies as a device that refuses
            await session.line()
        elif session.number == 2:
            await session.handshake(CHANNELS, "1.1")
            await session.send(wire_1(1, START_NS + 10**9, SAMPLES.tobytes(), 100))
        else:
            await session.handshake(CHANNELS)
            await session.send(wire(1, START_NS + session.number * 10**9, SAMPLES.tobytes(), 100, 42))
            if session.number:
                await session.until_closed()

    async with fake_device(play) as port, receiving(port) as (receiver, packets):
        await until(lambda: len(packets) == 3)
        assert receiver.receiver_status()["version"] == "2.0"
    assert [packet.timing_quality for packet in packets] == [42, 100, 42]


async def test_a_device_that_always_ends_in_garbage_is_asked_more_and_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "rawdaq")

    async def play(session: Session) -> None:
        await session.handshake(CHANNELS)
        await session.send(WHOLE + b"\xff" * 40)
        await session.until_closed()

    async with fake_device(play) as port, receiving(port) as (receiver, packets):
        await until(lambda: receiver.endpoint.backoff.failures >= 5)
    assert len(packets) >= 5
    assert len([line for line in caplog.messages if "packet of channel 65535" in line]) == 1
    assert len([line for line in caplog.messages if "channel 1 is" in line]) == 1
    assert len([line for line in caplog.messages if "connected to" in line]) <= 2


BAD_DEVICES = {
    "another version": (b"RAW 3.0\n", "answered 'RAW 3.0'"),
    "no such protocol": (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400"),
    "endless line": (b"R" * 1000, "more than"),
}


@pytest.mark.parametrize("name", BAD_DEVICES)
async def test_a_device_of_another_kind_is_named_once_and_tried_again(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer, words = BAD_DEVICES[name]
    count = 0

    async def play(session: Session) -> None:
        nonlocal count
        count += 1
        await session.line()
        await session.send(answer)
        await session.until_closed()

    async with fake_device(play) as port, receiving(port):
        await until(lambda: count > 7)
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1
    assert lines[0].startswith(f"127.0.0.1:{port}: ")
    assert words in lines[0]


IMPOSSIBLE = bytes.fromhex("07ea 0000 00 00 00 00000000 64 0001 00000001") + bytes(4)
BAD_DATA = {
    "a million and one samples": (wire(1, START_NS, b"", 1_000_001), "1000001 samples"),
    "a channel that nobody asked for": (wire(9, START_NS, bytes(4), 1), "packet of channel 9"),
    "garbage": (b"\xff" * 4096, "packet of channel 65535"),
}


@pytest.mark.parametrize("name", BAD_DATA)
async def test_bad_data_end_the_connection_after_what_was_whole(name: str, caplog: pytest.LogCaptureFixture) -> None:
    bad, words = BAD_DATA[name]

    async def play(session: Session) -> None:
        await session.handshake(CHANNELS)
        await session.send(WHOLE + bad + WHOLE)
        await session.until_closed()

    async with fake_device(play) as port, receiving(port, reconnect_first_s=60.0, reconnect_max_s=60.0) as (_, packets):
        await until(lambda: words in caplog.text)
        await until(lambda: packets)
    assert len(packets) == 1
    assert len([line for line in caplog.messages if words in line]) == 1
    assert f"127.0.0.1:{port}: " in caplog.text


async def test_values_that_cannot_be_cost_no_connection_and_are_logged_once_with_their_extent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play(session: Session) -> None:
        await session.handshake(CHANNELS)
        await session.send(WHOLE + 3 * (IMPOSSIBLE + wire(1, START_NS, bytes(4), 1, 255)) + WHOLE)

    async with fake_device(play) as port, receiving(port) as (receiver, packets):
        await until(lambda: len(packets) >= 5)
        status = receiver.receiver_status()["packet_problems"]
    assert [packet.timing_quality for packet in packets[:5]] == [90, None, None, None, 90]
    date, quality = "impossible date, packet skipped", "timing quality not in 0-100, kept as unknown"
    assert (status["1"][date], status["1"][quality]) == (3, 3)  # type: ignore[index]
    assert caplog.messages.count(f"channel 1 sent 2026, day 0, 00:00:00.000000 ({date})") == 1
    assert caplog.messages.count(f"channel 1 sent 255 ({quality})") == 1
    assert len(re.findall(rf"channel 1: 2 more packets in \d+ s: {quality}", caplog.text)) == 1


async def test_a_cut_in_the_middle_of_a_packet_is_told_and_what_was_whole_is_published(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play(session: Session) -> None:
        await session.handshake(CHANNELS)
        await session.send(WHOLE + WHOLE[:-7])

    async with fake_device(play) as port, receiving(port, reconnect_first_s=60.0, reconnect_max_s=60.0) as (_, packets):
        await until(lambda: "7 bytes missing" in caplog.text)
        await until(lambda: packets)
    assert len(packets) == 1


async def test_a_device_that_does_not_know_the_channel_is_told_with_the_channel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play(session: Session) -> None:
        await session.handshake(CHANNELS)

    async with fake_device(play) as port, receiving(port, channels={1: "HHZ", 7: "HHN"}):
        await until(lambda: "CHANNEL 7" in caplog.text)


async def test_an_absent_device_is_told_with_a_remedy_and_found_when_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closed_port() as port:
        async with receiving(port) as (receiver, _):
            await until(lambda: "nothing listens there" in caplog.text)
            assert receiver.endpoint.status()["connected"] is False
            await until(lambda: receiver.endpoint.backoff.failures > 3)
    assert len([line for line in caplog.messages if "nothing listens there" in line]) == 1


async def test_a_silent_peer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def play(session: Session) -> None:
        await serve_forever(session, WHOLE)

    async with fake_device(play) as port, receiving(port, timeout_s=0.2) as (receiver, _):
        await until(lambda: "sent nothing for 0.2 s" in caplog.text)
        await until(lambda: receiver.endpoint.connections >= 2)


async def test_gaps_are_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def play(session: Session) -> None:
        await serve_forever(session, WHOLE + wire(1, START_NS + 3 * 10**9, SAMPLES.tobytes(), 100))

    async with fake_device(play) as port, receiving(port) as (receiver, _):
        await until(lambda: "gap of 2.000000 s (200 samples)" in caplog.text)
        assert receiver.cmd_stats()["XX.DEMO.00.HHZ"]["gaps"] == 1  # type: ignore[index]


async def test_fifty_cuts_at_random_bytes_lose_and_repeat_nothing_that_was_whole() -> None:
    packets = [wire(1, START_NS + index * 10**9, np.full(100, index, "<i4").tobytes(), 100) for index in range(600)]
    chance = random.Random(4)
    position, whole_count, cuts = 0, 0, 0

    async def play(session: Session) -> None:
        nonlocal position, whole_count, cuts
        await session.handshake(CHANNELS)
        data = b"".join(packets[position:])
        if cuts == 50:
            await session.send(data)
            whole_count += len(packets) - position
            await session.until_closed()
            return
        cuts += 1
        size = chance.randrange(0, 20 * len(packets[0]))
        whole = min(size // len(packets[0]), len(packets) - position)
        await session.send(data[:size])
        whole_count += whole
        position += whole  # the device goes on with the packet that was cut

    async with fake_device(play) as port, receiving(port) as (_, kept):
        await until(lambda: cuts == 50 and len(kept) >= whole_count >= 600, 60.0)
    assert [int(packet.samples[0]) for packet in kept] == list(range(600))


async def test_a_full_publisher_stops_the_reading_and_nothing_is_lost() -> None:
    count = 3000

    async def play(session: Session) -> None:
        await serve_forever(
            session, b"".join(wire(1, START_NS + i * 10**9, SAMPLES.tobytes(), 100) for i in range(count))
        )

    class Slow(PacketKeeper):
        async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            await super().deliver(batch)

    slow = Slow()
    slow.queue_packets = 10
    async with fake_device(play) as port:
        receiver = RawReceiver([slow], STATION, port=port, channels={1: "HHZ"})
        task = asyncio.ensure_future(receiver.serve())
        await until(lambda: len(slow.packets) == count)
        receiver.stop()
        await task
    assert [packet.sequence for packet in slow.packets] == list(range(count))


class Gated(PacketKeeper):
    """Delivers when its gate is open, and lets ten packets wait before that."""

    queue_packets = 10

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def deliver(self, batch: Sequence[Packet | bytes]) -> None:
        await self.gate.wait()
        await super().deliver(batch)


@contextlib.asynccontextmanager
async def stopping(publisher: Gated, stop_timeout_s: float = 10.0) -> AsyncGenerator[asyncio.Task[None]]:
    """Stop a receiver that was paused when a hundred packets arrived; yield its task when they fill the publisher."""
    is_paused = asyncio.Event()

    async def play(session: Session) -> None:
        await session.handshake(CHANNELS)
        await is_paused.wait()
        await session.send(b"".join(wire(1, START_NS + i * 10**9, SAMPLES.tobytes(), 100) for i in range(100)))
        await session.until_closed()

    async with fake_device(play) as port:
        receiver = RawReceiver([publisher], STATION, port=port, channels={1: "HHZ"})
        receiver.stop_timeout_s = stop_timeout_s
        task = asyncio.ensure_future(receiver.serve())
        await until(lambda: receiver.formats)
        receiver.cmd_pause()
        is_paused.set()
        protocol = receiver.endpoint.protocol
        assert protocol is not None
        waiting = protocol.transport.get_extra_info("socket")
        await until(lambda: waiting_bytes(waiting) >= 100 * len(WHOLE))
        receiver.stop()
        await until(lambda: task.done() or receiver.endpoint.status()["held"] == ["a publisher is full: keeper"])
        yield task
        await asyncio.wait([task])


@pytest.fixture
def _reads_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial_endpoint._memory(), "block", memoryview(bytearray(30_000)))


@pytest.mark.usefixtures("_reads_are_small")
async def test_what_the_device_had_sent_before_a_stop_is_published_as_publishers_have_room() -> None:
    publisher = Gated()
    async with stopping(publisher) as task:
        publisher.gate.set()
        await task
    assert [packet.sequence for packet in publisher.packets] == list(range(100))


@pytest.mark.usefixtures("_reads_are_small")
async def test_what_the_device_had_sent_before_a_stop_and_finds_no_room_is_logged() -> None:
    async with stopping(Gated(), 0.05) as task:
        reason = r"bytes .* had sent are lost: not read within 0.025 s of stopping \(a publisher is full: keeper\)"
        with pytest.raises(ComponentError, match=reason):
            await task


def problems(**options: Any) -> str:
    return " ".join(mistake.text for mistake in read_options(RawReceiver, options, ROOT)[1])


def test_options_are_checked_before_anything_starts() -> None:
    assert problems(channels={1: "HHZ", 2: "10.HHN"}) == ""
    assert "missing" in problems()
    assert "at least one channel" in problems(channels={})
    several = problems(channels={1: "hhz", 2: "HHZ", 3: "00.10.HHN", 4: "00.NO"})
    assert several.count("is not [location.]channel") == 3
    assert problems(channels={-1: "HHZ"}) != ""
    for host in ("my..host", ".foo", "a b", "", "x" * 64, "bell\x07"):
        assert "is no host name or address" in problems(channels={1: "HHZ"}, host=host)
    for host in ("127.0.0.1:65535", "tcp://127.0.0.1", "http://logger/", "[::1]", "logger/a"):
        assert "digitizer.local, without scheme and port" in problems(channels={1: "HHZ"}, host=host)
    for host in ("192.168.1.300", "192.168.1"):
        assert "is no host name or address" in problems(channels={1: "HHZ"}, host=host)
    for host in ("digitizer.local", "::1", "::", "0.0.0.0", "fe80::1%eth0", "7.example.net"):
        assert problems(channels={1: "HHZ"}, host=host) == ""
    for wrong in ({"port": 0}, {"port": 65536}, {"timeout_s": -1.0}, {"version": "3.0"}, {"reconnect_first_s": 0.0}):
        assert problems(channels={1: "HHZ"}, **wrong) != "", wrong


def test_its_capture_is_for_it_alone() -> None:
    channels = {"channels": {1: "HHZ"}}
    for given, things in ((channels | {"capture": "b"}, [f"file {ROOT}/b"]), (channels, [])):
        assert RawReceiver.exclusive(read_options(RawReceiver, given, ROOT)[0]) == things


def test_streams_are_known_from_the_options() -> None:
    options: dict[str, Any] = {"channels": {1: "HHZ", 2: "10.HHN", 3: ".HHE"}, "version": "auto"}
    names = [str(stream) for stream in RawReceiver.streams(STATION, options)]
    assert names == ["XX.DEMO.00.HHZ", "XX.DEMO.10.HHN", "XX.DEMO..HHE"]
    with pytest.raises(InvalidValue, match="70000 is above 65535"):
        RawReceiver.streams(STATION, {"channels": {70000: "HHZ"}, "version": "2.0"})
    with pytest.raises(InvalidValue, match="two channels cannot be one stream"):
        RawReceiver.streams(STATION, {"channels": {1: "HHZ", 2: "00.HHZ"}, "version": "auto"})


async def test_a_channel_that_the_device_never_sends_is_reported_as_silent(caplog: pytest.LogCaptureFixture) -> None:
    async def play(session: Session) -> None:
        await serve_forever(session, WHOLE, {1: Described(), 2: Described()})

    async with fake_device(play) as port, receiving(port, channels={1: "HHZ", 2: "HHN"}) as (receiver, packets):
        await until(lambda: packets)
        receiver.stats.streams[StreamId("XX", "DEMO", "00", "HHN")].arrived_s -= 3600.0
        receiver._silence.look()
        assert "silent: no packets of XX.DEMO.00.HHN for 1 h 0 min" in caplog.messages
        assert receiver.stats.report()["XX.DEMO.00.HHZ"]["silent_s"] is None  # type: ignore[index]
