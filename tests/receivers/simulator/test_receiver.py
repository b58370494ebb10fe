"""A simulator sends over real sockets what its plan says, obeys commands, and tells the truth about what it sent."""

import asyncio
import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.settings import StationSettings
from rawdaq.errors import CommandError, InvalidValue
from rawdaq.messages.log_lines import LogLines
from rawdaq.receivers.simulator import Simulator
from rawdaq.receivers.simulator.faults import Fault
from rawdaq.receivers.simulator.outputs import UdpOutput
from rawdaq.receivers.simulator.plan import SourceSettings
from rawdaq.streams.assembly.formats import make_format
from rawdaq.times import NS_PER_S
from tests.helpers import closed_port, until
from tests.makers import START_NS
from tests.servers import serving

STATION = StationSettings(network="XX", code="SIM")
RAW = {"raw": {"samples": 1}}


@contextmanager
def receiver() -> Generator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def readouts(port: int, **given: Any) -> SourceSettings:
    options = {"kind": "readouts", "to": f"127.0.0.1:{port}", "format": RAW, "values": "number", "rate_hz": 1000}
    return SourceSettings.model_validate(options | given)


def simulator(sources: dict[str, SourceSettings], **given: Any) -> Simulator:
    return Simulator([], STATION, "Sim", sources, **given)


def taken(sock: socket.socket) -> list[tuple[int, str]]:
    """Return the number and the sender's address of each datagram."""
    found: list[tuple[int, str]] = []
    while True:
        try:
            data, address = sock.recvfrom(4096)
        except BlockingIOError:
            return found
        found.append((int.from_bytes(data[-4:], "little"), address[0]))


async def test_senders_have_addresses_of_their_own_and_the_end_comes_by_itself(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    with receiver() as sock:
        source = readouts(sock.getsockname()[1], senders=3, first_address="127.0.1.9")
        faults = [Fault(loss=0.3, slot=1)]
        await simulator({"parts": source}, faults=faults, seconds=0.05, truth=truth).serve()
        found = taken(sock)
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [row["made"] for row in rows] == [50] * 3
    assert rows[1]["lost"] > 5
    for slot, row in enumerate(rows):
        own = [number for number, address in found if address == f"127.0.1.{9 + slot}"]
        assert len(own) == 50 - row["lost"]
        assert own == numbers(row["sent"])


def numbers(text: str) -> list[int]:
    ends = [[int(end) for end in word.split("-")] for word in text.split(",")]
    return [number for each in ends for number in range(each[0], each[-1] + 1)]


async def test_commands_change_it_while_it_runs() -> None:
    with receiver() as sock:
        server = simulator({"parts": readouts(sock.getsockname()[1])})
        async with serving(server):
            await until(lambda: taken(sock))
            assert server.cmd_pause() == "paused"
            assert server.cmd_status()["state"] == "paused"
            assert server.cmd_rate(["5000", "parts"]) == {"parts": 5000.0} == server.cmd_get_rate()
            assert server.cmd_fault(["loss=1", "slot=0", "source=parts"]) == "on"
            assert not server.cmd_is_sending_ss_data()
            assert server.cmd_send_ss_data(["true"]) == "running"
            await until(lambda: server.cmd_sent()[0]["lost"])
            lost, whole = server.cmd_sent()[0]["lost"], server.cmd_sent()[0]["sent"]
            await until(lambda: server.cmd_sent()[0]["lost"] != lost)
            assert server.cmd_sent()[0]["sent"] == whole
            made = server.cmd_get_npackets_sent()
            assert server.cmd_clear_faults() == 1
            await until(lambda: server.cmd_get_npackets_sent() > made + 10)
            assert server.cmd_change_rate(["10"]) == {"parts": 10.0}
            assert "fault" in server.cmd_available_cmds()
            status: Any = server.receiver_status()
            assert status["sources"]["parts"]["rate_hz"] == 10.0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"per_packet": 1000, "format": {"raw": {"samples": 100}}}, "UDP carries 65507"),
    ],
)
def test_what_no_datagram_can_hold_is_an_error_before_it_starts(given: dict[str, Any], reason: str) -> None:
    options = {"sources": {"parts": readouts(9, **given)}, "faults": None}
    with pytest.raises(InvalidValue, match=reason):
        Simulator.streams(STATION, options)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["rate", "0"], "not a rate"),
        (["rate", "x"], "not a rate"),
        (["rate", "5", "other"], "no source"),
        (["fault", "loss"], "KEY=VALUE"),
        (["fault", "loss=2"], "loss"),
        (["fault", "lost=1"], "unknown key"),
        (["fault", "source=other"], "other"),
        (["change_rate"], "usage"),
        (["send_ss_data", "maybe"], "usage"),
    ],
)
async def test_wrong_commands_are_told(words: list[str], reason: str) -> None:
    server = simulator({"parts": readouts(9)})
    with pytest.raises(CommandError, match=reason):
        getattr(server, f"cmd_{words[0]}")(words[1:])


async def test_logs_go_by_tcp_and_wait_for_their_receiver() -> None:
    got = bytearray()
    ended = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            got.extend(data)
        ended.set()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as peer:
        port = peer.sockets[0].getsockname()[1]
        source = SourceSettings.model_validate(
            {"kind": "logs", "to": f"127.0.0.1:{port}", "rate_hz": 1000, "level": 17}
        )
        await simulator({"logs": source}, seconds=0.02).serve()
        await asyncio.wait_for(ended.wait(), 30)
    records: list[Any] = list(LogLines().receive_data(bytes(got), 0))
    assert [each.message for each in records] == [f"record {number}" for number in range(20)]
    assert {each.level for each in records} == {17}


async def test_a_receiver_that_is_not_there_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with closed_port() as port:
        source = SourceSettings.model_validate({"kind": "logs", "to": f"127.0.0.1:{port}", "rate_hz": 1000})
        server = simulator({"logs": source}, seconds=0.02)
        await server.serve()
    assert server.cmd_sent()[0]["unsent"] == 20
    assert caplog.text.count("cannot connect") == 1


class Refusing:
    """A socket whose datagrams are refused, so many of them."""

    def __init__(self, count: int) -> None:
        self.count = count

    def send(self, data: bytes) -> None:
        self.count -= 1
        if self.count >= 0:
            raise ConnectionRefusedError

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("refusals", "is_sent"), [(0, True), (1, True), (2, False)])
def test_what_the_system_does_not_take_is_not_sent(refusals: int, is_sent: bool) -> None:
    output = UdpOutput(readouts(9))
    try:
        assert not output.send(0, bytes(70_000))  # no datagram is so long
    finally:
        output.close()
    output._sockets = [Refusing(refusals)]  # type: ignore[list-item]
    assert output.send(0, b"x") == is_sent


async def test_clocks_begin_when_it_begins_not_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as sock:
        server = simulator({"parts": readouts(sock.getsockname()[1], rate_hz=100)}, seconds=0.01)
        now_ns = START_NS + 3600 * NS_PER_S
        monkeypatch.setattr("rawdaq.receivers.simulator.receiver.time.time_ns", lambda: now_ns)
        await server.serve()
        (section,) = make_format(RAW).sections(sock.recv(4096))
    assert section.time_ns == now_ns


async def test_an_address_that_is_not_ours_ends_it_with_the_reason() -> None:
    server = simulator({"parts": readouts(9, first_address="192.0.2.1")})
    with pytest.raises(Exception, match="no datagrams can be sent"):
        await server.serve()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sources": {}, "faults": None}, "at least one"),
        ({"sources": {"a": readouts(9)}, "faults": [Fault(source="b")]}, "'b'"),
        ({"sources": {"a": readouts(9, format="raw")}, "faults": []}, "samples"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_before_the_start(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        Simulator.streams(STATION, options)
