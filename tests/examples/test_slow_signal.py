"""The example's format: bytes of the camera's modules, and of its readouts, to the last bit."""

import asyncio
import contextlib
import importlib.util
import struct
import sys
from collections.abc import Generator, Sequence
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.config import registry
from rawdaq.config.settings import StationSettings
from rawdaq.messages.message import Message
from rawdaq.publisher import Publisher
from rawdaq.receivers.assembler import ReadoutAssembler
from rawdaq.receivers.assembler.options import SlotSettings
from rawdaq.streams.assembly.readout_format import DatagramRefused, ReadoutFormat
from tests.helpers import ROOT, until
from tests.servers import serving

STATION = StationSettings(network="XX", code="CHEC")
TIME_NS = 1_000_000_000


@pytest.fixture(scope="module")
def slow_signal() -> Generator[ModuleType]:
    name = "rawdaq_chec_slow_signal"
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / "chec" / "rawdaq_chec" / "slow_signal.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture
def chosen(slow_signal: ModuleType) -> ReadoutFormat:
    made: ReadoutFormat = slow_signal.SlowSignal()
    return made


def sub_readout(time_ns: int, codes: npt.NDArray[Any]) -> bytes:
    """Return 144 bytes, written as the description has them."""
    big = codes.astype(">u2").tobytes()
    return struct.pack(">Q", time_ns) + big[:64] + struct.pack(">Q", 0xFFFF_FFFF_FFFF_FFFF) + big[64:]


def test_the_example_of_the_description_is_read(chosen: ReadoutFormat) -> None:
    datagram = bytes.fromhex("000000003b9aca00 8001 8002") + bytes(144 - 12)
    (section,) = chosen.sections(datagram)
    assert section.time_ns == 1_000_000_000
    values = chosen.row.scaled(np.frombuffer(section.data, chosen.row.dtype))
    assert values[:3].round(4).tolist() == [0.0763, 0.1526, 2500.1984]


@pytest.mark.parametrize(
    ("code", "mv"), [(0x8000, 0.0), (0x8001, 0.0763), (0xFFFF, 2500.1221), (0x0000, 2500.1984), (0x7FFF, 5000.3205)]
)
def test_a_code_is_a_voltage(chosen: ReadoutFormat, code: int, mv: float) -> None:
    raw = np.array([code], ">u2").view(chosen.row.dtype)
    assert chosen.row.scaled(raw).round(4).tolist() == [mv]
    assert chosen.row.scaled(raw)[0] == (code ^ 0x8000) * 0.0763


@given(
    st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(min_size=128, max_size=128)), min_size=1, max_size=20)
)
def test_what_is_written_is_read(slow_signal: ModuleType, wanted: list[tuple[int, bytes]]) -> None:
    datagram = b"".join(sub_readout(time_ns, np.frombuffer(data, ">u2")) for time_ns, data in wanted)
    assert [(time_ns, data) for time_ns, data, _ in slow_signal.SlowSignal().sections(datagram)] == wanted


@pytest.mark.parametrize("size", [0, 1, 143, 145, 287, 144 * 456])
def test_another_length_is_refused(chosen: ReadoutFormat, size: int) -> None:
    with pytest.raises(DatagramRefused, match="no multiple of 144"):
        chosen.sections(bytes(size))


def test_by_tcp_each_sub_readout_is_a_message(chosen: ReadoutFormat) -> None:
    assert chosen.length(memoryview(b"")) == 144


class Kept(Publisher):
    takes_messages = True

    def __init__(self) -> None:
        super().__init__("kept")
        self.messages: list[Message] = []

    async def deliver(self, batch: Sequence[Any]) -> None:
        self.messages += batch


@pytest.mark.parametrize(("values", "sparse"), [("float64", True), ("float64", False), ("raw", True), ("scaled", True)])
async def test_modules_become_readouts_as_the_cameras_programs_know_them(
    slow_signal: ModuleType, monkeypatch: pytest.MonkeyPatch, values: Any, sparse: bool
) -> None:
    """A package of another name brings the format; 16 416 bytes leave without a topic."""
    name = f"{slow_signal.__name__}:SlowSignal"
    entry = EntryPoint("slow_signal", name, "rawdaq.readout_formats")
    installed = dict[str, EntryPoint](slow_signal=entry)
    monkeypatch.setattr(registry, "_installed", {"readout_format": installed}.get)
    kept, publisher = Kept(), slow_signal.SlowSignalPublisher("127.0.0.1", 0)
    slots = SlotSettings(by="octet", first=1, count=32)  # 127.0.0.1 is module 0
    receiver = ReadoutAssembler(
        [kept, publisher],
        STATION,
        format="slow_signal",
        slots=slots,
        ip="127.0.0.1",
        port=0,
        transport="tcp",
        values=values,
        sparse=sparse,
        max_wait_s=0.01,
    )
    codes = np.arange(0x7FF0, 0x7FF0 + 64)
    with zmq.Context() as context, contextlib.closing(context.socket(zmq.SUB)) as subscriber:
        subscriber.linger = 0
        subscriber.subscribe(b"")
        async with serving(receiver):
            subscriber.connect(f"tcp://127.0.0.1:{publisher.port}")
            await until(lambda: publisher.status()["subscribers"])
            protocol: Any = receiver.endpoints[0]
            await send(protocol.port, sub_readout(TIME_NS, codes))
            await until(lambda: kept.messages)
            await until(lambda: subscriber.poll(0))
            data = subscriber.recv()
    (message,) = kept.messages
    header = message.header
    assert header["unit"] == "mV"
    assert (header["scale"], header["offset"]) == ((0.0763, 0x8000 * 0.0763) if values == "raw" else (1, 0))
    assert len(data) == 16_416
    number, time_ns, seconds, ns = struct.unpack_from("<QQQQ", data)
    assert (number, time_ns, seconds * 10**9 + ns) == (1, TIME_NS, header["received_ns"])
    found = np.frombuffer(data, "<f8", offset=32).reshape(32, 64)
    assert np.isnan(found[1:]).all()
    wanted = (codes ^ 0x8000) * 0.0763
    if values == "float64":
        assert found[0].tolist() == wanted.tolist()
    else:
        assert np.allclose(found[0], wanted, rtol=1e-6)


async def send(port: int, data: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
