"""Live streams of many stations become blocks, each with a row for each stream."""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from rawdaq.config.document import ConfigError
from rawdaq.config.files import load
from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.protocols.message import encode
from rawdaq.receivers.assembler import ArrayAssembler
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S
from tests.helpers import DEADLINE_S, until
from tests.receivers.assembler.senders import STATION, MessageKeeper
from tests.servers import serving

BEGIN_NS = 1_790_000_000 * NS_PER_S
PATIENT: dict[str, Any] = {"max_wait_s": 10 * DEADLINE_S, "absent_s": 100 * DEADLINE_S}
NAMES = ["XX.A1.00.HHZ", "XX.A2.00.HHZ"]


def packet(name: str, first: int, count: int, rate_hz: float = 10.0, off_ns: int = 0) -> Packet:
    start_ns = BEGIN_NS + round(first * NS_PER_S / rate_hz) + off_ns
    samples = np.arange(first, first + count, dtype="int32") + 1000 * int(name[4])
    return Packet(StreamId.parse(name), start_ns, rate_hz, samples, sequence=first)


class Bench:
    """An array assembler that reads what two publishers push to it."""

    def __init__(self, receiver: ArrayAssembler, keeper: MessageKeeper, sockets: list["zmq.Socket[bytes]"]) -> None:
        self.receiver, self.keeper, self._sockets = receiver, keeper, sockets

    def send(self, name: str, first: int, count: int, **changes: Any) -> None:
        socket = self._sockets[int(name[4]) % 2]
        socket.send_multipart(encode(packet(name, first, count, **changes)))

    def send_raw(self, *frames: bytes) -> None:
        self._sockets[0].send_multipart(frames)

    async def published(self, count: int) -> list[Message]:
        await until(lambda: len(self.keeper.messages) >= count)
        return self.keeper.messages

    @property
    def status(self) -> dict[str, Any]:
        return self.receiver.receiver_status()


@contextlib.asynccontextmanager
async def assembling(streams: list[str], **options: Any) -> AsyncGenerator[Bench]:
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(context.socket(zmq.PUSH))) for _ in range(2)]
        for each in sockets:
            each.linger = 0
        ports = [each.bind_to_random_port("tcp://127.0.0.1") for each in sockets]
        keeper = MessageKeeper()
        endpoints = [f"tcp://127.0.0.1:{port}" for port in ports]
        receiver = ArrayAssembler(
            [keeper], STATION, endpoints=endpoints, streams=streams, pattern="pull", name="Array", **options
        )
        async with serving(receiver) as task:
            yield Bench(receiver, keeper, sockets)
        await task


def array(message: Message) -> Any:
    header = message.header
    return np.frombuffer(message.payload, np.dtype(header["type"]).newbyteorder("<")).reshape(header["shape"])


async def test_packets_of_two_publishers_are_a_block() -> None:
    async with assembling(NAMES, **PATIENT) as bench:
        bench.send(NAMES[1], 0, 7)
        bench.send(NAMES[0], 0, 10)
        bench.send(NAMES[1], 7, 13)
        (message,) = await bench.published(1)
    header = dict(message.header)
    assert header.pop("received_ns") > 0
    assert message.topic == "~readout.XX.ARRAY.Array"
    assert header == {
        "rawdaq": 1,
        "kind": "readout",
        "frame": 0,
        "component": "Array",
        "htype": "array-1.0",
        "type": "float64",
        "shape": [2, 1, 10],
        "encoding": "little",
        "number": 1,
        "epoch": 0,
        "time_ns": BEGIN_NS,
        "slots": [0, 1],
        "expected": 2,
        "reason": "complete",
        "unit": "",
        "scale": 1,
        "offset": 0,
        "rate_hz": 10.0,
        "streams": NAMES,
        "filled": [10, 10],
    }
    assert array(message)[:, 0].tolist() == [list(range(1000, 1010)), list(range(2000, 2010))]
    (rest,) = bench.keeper.messages[1:]  # what had begun when it stopped
    assert (rest.header["reason"], rest.header["filled"], rest.header["slots"]) == ("stop", [10], [1])


async def test_a_stream_that_stays_away_is_not_waited_for_longer_than_max_wait() -> None:
    async with assembling([*NAMES, "XX.A3.00.HHZ"], max_wait_s=1.0, values="float32") as bench:
        bench.send(NAMES[1], 0, 4)
        await until(lambda: bench.receiver.cmd_slots().get("1", {}).get("packets"))
        bench.send(NAMES[0], 0, 10)
        bench.send("XX.A3.00.HHZ", 0, 10)
        messages = await bench.published(1)
        assert bench.receiver.cmd_slots()["1"]["packets"] == 1
    header = messages[0].header
    assert (header["type"], header["filled"], header["reason"]) == ("float32", [10, 4, 10], "timer")
    found = array(messages[0])[1, 0]
    assert found[:4].tolist() == [2000, 2001, 2002, 2003]
    assert np.isnan(found[4:]).all()


async def test_patterns_have_rows_in_the_order_in_which_streams_come() -> None:
    async with assembling(["XX.A*.00.HHZ"]) as bench:
        for first in (0, 10):
            bench.send("XX.A4.00.HHZ", first, 10)
            bench.send("XX.A2.00.HHZ", first, 10)
        bench.send("XX.A2.00.HHN", 0, 10)
        await until(lambda: bench.receiver.cmd_slots().get("1", {}).get("packets") == 2)
        assert {row["sender"] for row in bench.receiver.cmd_slots().values()} == {"XX.A4.00.HHZ", "XX.A2.00.HHZ"}
    last = bench.keeper.messages[-1].header
    assert last["streams"] == ["XX.A4.00.HHZ", "XX.A2.00.HHZ"]
    assert last["expected"] == 2


async def test_streams_that_do_not_fit_are_refused_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async with assembling(NAMES, rate_hz=10.0) as bench:
        bench.send(NAMES[0], 0, 10, off_ns=30_000_000)
        bench.send(NAMES[1], 0, 10, rate_hz=20.0)
        bench.send_raw(b"XX.A1.00.HHZ", b"{}", b"")
        bench.send_raw(b"~log", b"{}")
        await until(lambda: bench.status["refused"] == 2 and bench.status["malformed"])
        assert set(bench.receiver.cmd_refused()) >= set(NAMES)
    assert "XX.A1.00.HHZ: samples lie +0.30 samples beside the grid" in caplog.text
    assert "XX.A2.00.HHZ has 20 Hz, the others 10 Hz" in caplog.text


async def test_streams_go_on_when_their_time_begins_anew() -> None:
    """A replay that is started again is a new epoch, not the end."""
    async with assembling(NAMES, **PATIENT) as bench:
        for count, off_ns in ((10, 0), (20, -3600 * NS_PER_S)):
            for first in range(0, 100, 10):
                for name in NAMES:
                    bench.send(name, first, 10, off_ns=off_ns)
            messages = await bench.published(count)
    assert [each.header["epoch"] for each in messages] == [0] * 10 + [1] * 10
    assert all(each.header["filled"] == [10, 10] for each in messages)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"streams": ["XX.A1.00.HHZ", "XX.A1.00.HHZ"]}, "XX.A1.00.HHZ is there twice"),
        ({"streams": ["XX.A*.00.HHZ", "XX.A1.00.HHZ"]}, "either names"),
        ({"streams": ["XX.A1.00"]}, "can name no stream"),
        ({"streams": ["XX.A1.00.HHZZ"]}, "channel 'HHZZ'"),
        ({"block_s": 20}, "absent_s (30) must be at least three blocks (20 s)"),
        ({"max_wait_s": 40}, "absent_s (30) is less than max_wait_s (40)"),
        ({"block_s": 90, "absent_s": 300}, "step_s (60) must be above block_s (90)"),
        ({"rate_hz": 62.5}, "a block of 1 s has 62.5 samples"),
        ({"endpoints": ["tcp://*:9004"]}, "`bind: true`"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(options: dict[str, Any], text: str, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"endpoints": ["tcp://192.0.2.7:9004"], "streams": NAMES} | options
    with pytest.raises(InvalidValue) as raised:
        ArrayAssembler([], STATION, **chosen)
    assert text in str(raised.value)
    file = tmp_path / "station.yaml"
    lines = "\n".join(f"    {key}: {value}" for key, value in chosen.items())
    file.write_text(
        "station: {network: XX, code: ARRAY}\nArray:\n  Receiver:\n    class: ArrayAssembler\n"
        f"{lines}\n  Publishers:\n    live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9008}}\n"
    )
    with pytest.raises(ConfigError) as shown:
        load(file)
    assert text in str(shown.value)


def test_what_it_has_alone_is_known() -> None:
    options: dict[str, Any] = {"endpoints": ["tcp://*:9004"], "bind": True}
    assert ArrayAssembler.exclusive(options) == ["tcp://0.0.0.0:9004"]
    assert ArrayAssembler.exclusive(options | {"bind": False}) == []
