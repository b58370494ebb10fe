"""The test device pushes what it plays as datagrams, and says where to and what became of them."""

import asyncio
import re
import socket
from typing import Any

import pytest

from rawdaq.config.settings import StationSettings
from rawdaq.control.device.signals import file_programme
from rawdaq.control.device.udp import parse_address
from rawdaq.errors import InvalidValue
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver
from rawdaq.replay.waveforms import read_waveforms
from tests.forks import run_cli
from tests.helpers import until
from tests.packet_keeper import PacketKeeper

STATION = StationSettings(network="XX", code="DEMO")


async def test_a_receiver_gets_the_seismogram_sample_for_sample() -> None:
    keeper = PacketKeeper()
    channels: Any = {1: "EHZ", 2: "EHN", 3: "EHE"}
    receiver = RawUDPReceiver([keeper], STATION, channels=channels, rate_hz=100, ip="127.0.0.1", port=0)
    serving = asyncio.ensure_future(receiver.serve())
    await until(lambda: receiver.endpoints[0].port)
    target = f"127.0.0.1:{receiver.endpoints[0].port}"
    words = ["rawdaq-device", "--udp", target, "--once", "--time", "original", "--speed", "60"]
    out = (await asyncio.to_thread(run_cli, words)).stdout
    await until(lambda: sum(packet.samples.size for packet in keeper.packets) == 9000)
    receiver.stop()
    await serving
    lines = out.splitlines()
    assert re.fullmatch(rf"pushing the earthquake .*, once, to {target}", lines[0])
    assert lines[1].split() == "channel 1 100 Hz int32 little BW.RJOB..EHZ".split()
    assert lines[-1] == (
        "played 90 packets, 9000 samples; datagrams: 90, not taken by the network: 0, "
        "refused by the receiver's machine: 0"
    )
    begin_ns = read_waveforms()[0].start_ns
    played = list(file_programme(None, [], None, loop=False).blocks(1.0))
    for number, code in channels.items():
        own = [packet for packet in keeper.packets if packet.stream.channel == code]
        blocks = [block for block in played if block.channel == number]
        assert [packet.start_ns - begin_ns for packet in own] == [block.offset_ns for block in blocks]
        assert [packet.samples.tolist() for packet in own] == [block.samples.tolist() for block in blocks]


def test_a_sine_is_pushed_for_as_long_as_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30.0)
        target = f"127.0.0.1:{receiver.getsockname()[1]}"
        done = run_cli(
            ["rawdaq-device", "--udp", target, "--sine", "1", "--seconds", "2", "--speed", "50", "--channel", "7"]
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert [len(receiver.recv(65_536)) for _ in range(2)] == [418, 418]
    assert "played 2 packets, 200 samples; datagrams: 2" in done.stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--udp", "9000"], "'9000' is not HOST:PORT such as 192.0.2.7:9000"),
        (["--udp", "127.0.0.1:9000", "--speed", "max"], "--udp gets no answers"),
        (["--udp", "127.0.0.1:9000", "--wait-client"], "--udp gets no answers"),
        (["--udp", "127.0.0.1:9000", "--port", "7"], "leave out --port"),
        (["--udp", "127.0.0.1:9000", "--host", "0.0.0.0"], "leave out --host"),
    ],
)
def test_what_cannot_be_pushed_is_a_wrong_call(words: list[str], text: str) -> None:
    done = run_cli(["rawdaq-device", *words])
    assert done.returncode == 2
    assert text in " ".join(done.stderr.split())


def test_a_host_that_is_not_there_is_one_line_and_status_1() -> None:
    done = run_cli(["rawdaq-device", "--udp", "no.such.host.invalid:9000"])
    assert done.returncode == 1
    assert "cannot send to no.such.host.invalid:9000" in done.stderr


@pytest.mark.parametrize("text", ["", "9000", ":9000", "host", "host:", "host:0", "host:65536", "host:x", "::1:9000"])
def test_an_address_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"is not HOST:PORT"):
        parse_address(text)
