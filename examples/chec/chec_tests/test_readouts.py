"""Modules of the camera become readouts, and these leave as its own programs know them."""

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import zmq

from chec_tests.test_slow_signal import encode
from rawdaq.config.settings import StationSettings
from rawdaq.messages.message import Message
from rawdaq.publisher import Publisher
from rawdaq.receivers.assembler import ReadoutAssembler
from rawdaq.receivers.assembler.options import SlotSettings
from rawdaq_chec.slow_signal import CHANNELS, MODULES, SlowSignal, SlowSignalPublisher
from tests.helpers import until
from tests.live import subscribed
from tests.servers import serving

pytestmark = pytest.mark.usefixtures("_installed")

STATION = StationSettings(network="XX", code="CHEC")
TIME_NS = 1_000_000_000


class Kept(Publisher):
    takes_messages = True

    def __init__(self) -> None:
        super().__init__("kept")
        self.messages: list[Message] = []

    async def deliver(self, batch: Sequence[Any]) -> None:
        self.messages += batch


def test_scaled_values_are_exactly_those_of_the_camera() -> None:
    codes = np.arange(0x1_0000)
    scaled = SlowSignal.row.scaled(codes.astype(">u2").view(">i2"))
    assert scaled.tolist() == ((codes ^ 0x8000) * 0.0763).tolist()


def test_by_tcp_each_sub_readout_is_a_message() -> None:
    assert SlowSignal().length(memoryview(b"")) == 144


@pytest.mark.parametrize(("values", "sparse"), [("float64", True), ("float64", False), ("raw", True), ("scaled", True)])
async def test_readouts_leave_as_the_cameras_programs_know_them(values: Any, sparse: bool) -> None:
    kept, publisher = Kept(), SlowSignalPublisher("127.0.0.1", 0)
    receiver = ReadoutAssembler(
        [kept, publisher],
        STATION,
        format="slow_signal",
        slots=SlotSettings(by="octet", first=1, count=MODULES),  # 127.0.0.1 is module 0
        ip="127.0.0.1",
        port=0,
        transport="tcp",
        values=values,
        sparse=sparse,
        max_wait_s=0.01,
    )
    codes = list(range(0x7FF0, 0x7FF0 + CHANNELS))
    with zmq.Context() as context, contextlib.closing(context.socket(zmq.SUB)) as subscriber:
        subscriber.linger = 0
        subscriber.subscribe(b"")
        async with serving(receiver):
            subscriber.connect(f"tcp://127.0.0.1:{publisher.port}")
            await subscribed(publisher)
            _, writer = await asyncio.open_connection("127.0.0.1", receiver.endpoints[0].port)
            writer.write(encode([(TIME_NS, codes)]))
            await until(lambda: kept.messages and subscriber.poll(0))
            writer.close()
            await writer.wait_closed()
            data = subscriber.recv()
    (message,) = kept.messages
    header = message.header
    assert header["unit"] == "mV"
    assert (header["scale"], header["offset"]) == ((0.0763, 0x8000 * 0.0763) if values == "raw" else (1, 0))
    assert len(data) == 16_416
    number, time_ns, seconds, ns = struct.unpack_from("<QQQQ", data)
    assert (number, time_ns, seconds * 10**9 + ns) == (1, TIME_NS, header["received_ns"])
    found = np.frombuffer(data, "<f8", offset=32).reshape(MODULES, CHANNELS)
    assert np.isnan(found[1:]).all()
    wanted = (np.array(codes) ^ 0x8000) * 0.0763
    if values == "float64":
        assert found[0].tolist() == wanted.tolist()
    else:
        assert np.allclose(found[0], wanted, rtol=1e-6)
