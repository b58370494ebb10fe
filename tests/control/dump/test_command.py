"""rawdaq-dump as its users run it: a process of its own that listens to a live publisher."""

import asyncio
import errno
import json
import math
import re
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest

from rawdaq.control.dump import run as dump_run
from rawdaq.control.dump.command import _with_remedy
from rawdaq.packet import Packet
from rawdaq.protocols.message import header
from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher
from rawdaq.stream_id import StreamId
from rawdaq.subscriber import Subscriber
from tests.forks import Process, run_cli, start_cli
from tests.helpers import command, environment, until
from tests.live import publishing, subscribed
from tests.makers import START_NS, STREAM, packet

LINE = re.compile(
    r"XX\.DEMO\.00\.HHZ 2026-11-21T00:00:01\.000000Z 2026-11-21T00:00:01\.990000Z 100 Hz 100 int32 "
    r"q=100 seq=12 lat=-?\d+\.\d{3}s"
)
OTHER = StreamId("XX", "DEMO", "00", "HHN")


@asynccontextmanager
async def dumping(publisher: ZMQTCPPublisher, *args: str, wait: bool = True) -> AsyncGenerator[Process]:
    """Give a running rawdaq-dump that has subscribed, and end it."""
    with start_cli(["rawdaq-dump", "--connect", publisher.address, *args]) as process:
        try:
            if wait:
                await subscribed(publisher)
            yield process
        finally:
            process.kill()


async def ended(process: Process) -> tuple[str, str]:
    """Return what *process* writes to stdout and stderr until it has ended."""
    return await asyncio.wait_for(asyncio.to_thread(process.communicate), 60)


async def next_line(stream: TextIO) -> str:
    return await asyncio.wait_for(asyncio.to_thread(stream.readline), 60)


async def dump(packets: Sequence[Packet], *args: str) -> tuple[list[str], str, int | None]:
    """Return stdout's lines, stderr and the exit status after all *packets* were published."""
    async with publishing() as publisher, dumping(publisher, "--count", str(len(packets)), *args) as process:
        await publisher.deliver(packets)
        out, err = await ended(process)
    return out.splitlines(), err, process.returncode


async def test_packet_is_a_line() -> None:
    lines, err, status = await dump([packet(1, sequence=12, timing_quality=100)])
    assert len(lines) == 1
    assert LINE.fullmatch(lines[0])
    assert err.startswith("rawdaq-dump: 1 packet of 1 stream in ")
    assert err.endswith("s, 0 lost\n")
    assert status == 0


async def test_unknown_quality_is_a_question_mark_and_fractions_of_a_rate_are_shown() -> None:
    lines, _, _ = await dump([packet(rate_hz=62.5)])
    assert " 62.5 Hz 100 int32 q=? seq=0 lat=" in lines[0]


@pytest.mark.parametrize(
    ("samples", "text"),
    [(np.array([1, -2], ">i2"), "1 -2"), (np.array([0.1, math.nan], "float32"), "0.1 nan")],
)
async def test_sample_values_end_the_line(samples: Any, text: str) -> None:
    lines, _, _ = await dump([Packet(STREAM, START_NS, 1.0, samples)], "--samples")
    assert re.search(r"lat=\S+ (.*)$", lines[0]) is not None
    assert lines[0].endswith("s " + text)


async def test_json_line_has_the_header_and_the_facts_of_its_arrival() -> None:
    packets = [packet(0, sequence=0), packet(1, sequence=1), packet(3, sequence=2), packet(3, sequence=3)]
    lines, _, _ = await dump(packets, "--json")
    objects = [json.loads(line) for line in lines]
    for each, original in zip(objects, packets, strict=True):
        assert header(original).items() <= each.items()
        assert each["end_ns"] == original.end_ns
        assert each.keys() - header(original).keys() == {"end_ns", "latency_s", "gap_s"}
        assert isinstance(each["latency_s"], float)
    assert [each["gap_s"] for each in objects] == [None, 0.0, 1.0, -1.0]


async def test_json_samples_are_exact_and_null_where_there_is_no_number() -> None:
    values = np.array([0.1, math.nan, math.inf, -math.inf, 5e-324], ">f8")
    packets = [Packet(STREAM, START_NS, 1.0, values), Packet(STREAM, START_NS, 1.0, np.array([1 << 30, -1], "int32"))]
    lines, _, _ = await dump(packets, "--json", "--samples")
    assert [json.loads(line)["samples"] for line in lines] == [[0.1, None, None, None, 5e-324], [1 << 30, -1]]


async def test_only_wanted_streams_are_shown() -> None:
    async with publishing() as publisher, dumping(publisher, "--stream", "*.HHZ", "--count", "1") as process:
        await publisher.deliver([packet(stream=OTHER), packet()])
        out, _ = await ended(process)
    assert out.startswith("XX.DEMO.00.HHZ ")
    assert out.count("\n") == 1


async def test_thousands_of_streams_can_be_wanted() -> None:
    names = [StreamId("XX", f"S{number:04d}", "00", "HHZ") for number in range(3000)]
    wanted = [option for name in names for option in ("--stream", str(name))]
    async with publishing() as publisher, dumping(publisher, *wanted, "--count", "3000", "--json") as process:
        await until(lambda: sum(len(each.topics) for each in publisher._connections) == 3000)
        await publisher.deliver([packet(stream=name) for name in names])
        out, _ = await ended(process)
    assert out.count("\n") == 3000


async def test_lost_messages_are_reported_and_summed_up() -> None:
    packets = [packet(index, sequence=index) for index in (0, 1, 5, 6, 9)]
    _, err, status = await dump(packets)
    told = err.splitlines()
    assert len(told) == 2
    assert "lost 5 messages before 2026-11-21T00:00:09.000000Z, from tcp://127.0.0.1:" in told[0]
    assert told[0].endswith("(XX.DEMO.00.HHZ: 5)")
    assert told[1].endswith("5 lost (XX.DEMO.00.HHZ: 5)")
    assert status == 0


async def test_outage_is_reported_when_it_is_over() -> None:
    async with publishing() as publisher, dumping(publisher) as process:
        await publisher.deliver([packet(sequence=0), packet(1, sequence=3)])
        assert "lost 2 messages" in await next_line(process.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_ends_it_with_totals(number: signal.Signals) -> None:
    async with publishing() as publisher, dumping(publisher) as process:
        await publisher.deliver([packet()])
        await next_line(process.stdout)
        process.send_signal(number)
        out, err = await ended(process)
    assert out == ""
    assert err.startswith("rawdaq-dump: 1 packet of 1 stream in")
    assert process.returncode == 0


async def test_closed_pipe_ends_it_quietly() -> None:
    async with publishing() as publisher:
        dump_line = " ".join(f"'{word}'" for word in command("rawdaq-dump", "--connect", publisher.address)[-2:])
        python, flag, code = command("rawdaq-dump")
        script = f'"$0" "$1" "$2" {dump_line} | head -n 1; echo "${{PIPESTATUS[0]}}"'
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", script, python, flag, code, stdout=PIPE, stderr=PIPE, env=environment()
        )
        await subscribed(publisher)

        async def feed() -> None:
            index = 0
            while publisher.status()["subscribers"]:
                await publisher.deliver([packet(index, sequence=index)])
                index += 1
                await asyncio.sleep(0.01)

        feeding = asyncio.create_task(feed())
        out, err = await asyncio.wait_for(process.communicate(), 60)
        await feeding
    assert out.decode().splitlines()[1:] == ["0"]
    assert err == b""


async def test_seconds_end_it_without_data_and_it_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_run, "_PATIENCE_S", 1.0)
    async with publishing() as publisher:
        pattern = ["--stream", "YY.*", "--stream", "ZZ.*"]
        async with dumping(publisher, "--seconds", "1.6", *pattern, wait=False) as process:
            out, err = await ended(process)
    told = err.splitlines()
    assert out == ""
    assert told[0].startswith(f"rawdaq-dump: waiting for data at {publisher.address} for streams like YY.* or ZZ.*. ")
    assert "without --stream" in told[0]
    assert "control-rawdaq status" in told[0]
    assert re.match(r"rawdaq-dump: 0 packets of 0 streams in \d+\.\d s", told[1])
    assert len(told) == 2
    assert process.returncode == 1


async def test_table_is_plain_where_there_is_no_terminal() -> None:
    packets = [packet(0), packet(2, sequence=3), packet(0, sequence=4), packet(stream=OTHER, rate_hz=62.5)]
    lines, _, _ = await dump(packets, "--stats")
    assert lines[0].split() == "stream packets rate Hz latency s mean max gaps overlaps lost bytes/s".split()
    assert lines[1].split()[:3] == ["XX.DEMO.00.HHN", "1", "62.5"]
    assert lines[2].split()[:3] == ["XX.DEMO.00.HHZ", "3", "100"]
    assert lines[2].split()[6:9] == ["1", "1", "2"]
    assert len(lines) == 3


async def test_table_as_json() -> None:
    lines, _, _ = await dump([packet(0), packet(2, sequence=3)], "--stats", "--json")
    (figures,) = map(json.loads, lines)
    assert figures.keys() >= {"latency_s", "latency_mean_s", "latency_max_s", "bytes_per_s"}
    assert {key: figures[key] for key in ("stream", "packets", "rate_hz", "gaps", "overlaps", "lost")} == {
        "stream": "XX.DEMO.00.HHZ",
        "packets": 2,
        "rate_hz": 100.0,
        "gaps": 1,
        "overlaps": 0,
        "lost": 2,
    }


async def test_miniseed_file_reads_back_sample_for_sample(tmp_path: Path) -> None:
    import obspy

    path = tmp_path / "live.mseed"
    path.write_bytes(b"an older file")
    lines, _, status = await dump([packet(index, sequence=index) for index in range(20)], "--write", str(path))
    assert (len(lines), status) == (20, 0)
    (trace,) = obspy.read(str(path)).merge()
    assert trace.id == "XX.DEMO.00.HHZ"
    assert trace.stats.starttime.ns == START_NS
    assert trace.data.tolist() == list(range(2000))


async def test_stream_that_miniseed_cannot_name_is_reported_once(tmp_path: Path) -> None:
    long = StreamId("XX", "LONGNAME", "00", "HHZ")
    path = tmp_path / "live.mseed"
    _, err, _ = await dump([packet(stream=long), packet(1, stream=long, sequence=1)], "--write", str(path))
    assert err.count("XX.LONGNAME.00.HHZ is not written: miniSEED 2 has no room for station LONGNAME") == 1
    assert path.read_bytes() == b""


@pytest.fixture(scope="module")
def drawing() -> None:
    """Load here, and once, what processes that draw load: they are forks of this one."""
    import_module("obspy")
    import_module("matplotlib.pyplot")


@pytest.mark.usefixtures("drawing")
async def test_picture_is_drawn_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "live.png"
    _, _, status = await dump([packet(index, sequence=index) for index in range(3)], "--plot", str(path))
    assert status == 0
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("drawing")
def test_picture_of_nothing_fails(tmp_path: Path) -> None:
    result = run_cli(
        ["rawdaq-dump", "--connect", "tcp://127.0.0.1:1", "--seconds", "0.1", "--plot", str(tmp_path / "x.png")]
    )
    assert result.returncode == 1
    assert result.stderr.endswith("x.png is not drawn: nothing arrived\n")


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("option", ["--write", "--plot"])
def test_file_that_cannot_be_written_fails_at_once(tmp_path: Path, option: str) -> None:
    path = tmp_path / "absent" / "live.png"
    result = run_cli(["rawdaq-dump", option, str(path)])
    assert result.returncode == 1
    assert result.stderr == (
        f"rawdaq-dump: {path}: No such file or directory; make its folder, or choose another path\n"
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EACCES, "Permission denied", "a"), "a: Permission denied; choose a path that you may write to"),
        (OSError(errno.ENOSPC, "No space left"), "the output: No space left; make room on its disk"),
        (OSError(errno.EIO, "Input/output error", "a"), "a: Input/output error; choose another path"),
        (OSError("strange"), "the output: strange; choose another path"),
    ],
)
def test_error_of_a_file_is_reported_with_the_remedy(error: OSError, text: str) -> None:
    assert _with_remedy(error) == text


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address that nobody listens on, and nobody else gets."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{bound.getsockname()[1]}"


def test_address_where_nothing_publishes_is_reported_however_short_the_run_is(silent_address: str) -> None:
    result = run_cli(["rawdaq-dump", "--connect", silent_address, "--seconds", "0.1"])
    told = result.stderr.splitlines()
    assert told[0] == f"rawdaq-dump: nothing publishes at {silent_address} (is the receiver running?)"
    assert told[1].startswith("rawdaq-dump: 0 packets of 0 streams in ")
    assert (len(told), result.returncode) == (2, 1)


def test_host_that_is_not_found_is_reported() -> None:
    result = run_cli(["rawdaq-dump", "--connect", "tcp://not..there:9004", "--seconds", "0.1"])
    told = result.stderr.splitlines()
    assert told[0] == "rawdaq-dump: host not..there of tcp://not..there:9004 is not found: that is not a host name"
    assert (len(told), result.returncode) == (2, 1)


async def test_address_where_nothing_publishes_is_reported_once_though_another_sends(
    silent_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_run, "_PATIENCE_S", 0.5)
    async with publishing() as publisher, dumping(publisher, "--connect", silent_address) as process:
        await publisher.deliver([packet()])
        line = await next_line(process.stderr)
        process.send_signal(signal.SIGINT)
        _, rest = await ended(process)
    assert line == f"rawdaq-dump: nothing publishes at {silent_address} (is the receiver running?)\n"
    assert rest.startswith("rawdaq-dump: 1 packet of 1 stream in ")


async def test_a_publisher_that_turns_us_away_is_reported_from_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dump_run, "_PATIENCE_S", 1.0)
    async with publishing(max_subscribers=1) as publisher, Subscriber(publisher.address):
        await subscribed(publisher)
        async with dumping(publisher) as process:
            line = await next_line(process.stderr)
    assert line == (
        f"rawdaq-dump: {publisher.address} takes connections, but does not publish to us: it refuses us "
        "(the receiver's log says why), or is not a ZMQTCPPublisher\n"
    )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--count", "0"], "--count"),
        (["--count", "many"], "--count"),
        (["--seconds", "0"], "--seconds"),
        (["--connect", "nonsense"], "'nonsense' is not like tcp://127.0.0.1:9004"),
        (["--connect", "tcp://127.0.0.1:99999", "--seconds", "0.1"], "its port is not a number in 1-65535"),
        (["--stream", "HHZ"], "Invalid value for '--stream': 'HHZ' can name no stream"),
        (["--write", "/tmp"], "--write"),
        (
            ["--plot", "a.foo"],
            "Invalid value for --plot: .foo is not a picture format; a.foo should end in .avif, .eps,",
        ),
        (["--what"], "--what"),
    ],
)
def test_wrong_option_ends_with_status_2(args: list[str], text: str) -> None:
    result = run_cli(["rawdaq-dump", *args])
    assert result.returncode == 2
    assert text in result.stderr


def test_help_shows_every_option_and_loads_nothing_slow() -> None:
    code = (
        "import sys, rawdaq.control.dump.command as command\n"
        "command.main(['--help'], standalone_mode=False)\n"
        "print({'zmq', 'rich', 'pymseed', 'obspy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    options = ("--connect", "--stream", "--count", "--seconds", "--json", "--samples", "--stats", "--write", "--plot")
    assert [option for option in options if option not in done.stdout] == []
    assert done.stdout.splitlines()[-1] == "set()"
