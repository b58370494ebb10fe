"""The test device plays what it says: a seismogram, a file or a sine, in time, on any channel and sample type."""

import itertools
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rawdaq.control.device.command import main
from rawdaq.control.device.player import MAX_BACKLOG_BYTES, Player
from rawdaq.control.device.signals import Block, ChannelSpec, file_programme, parse_channels, sine_programme
from rawdaq.errors import InvalidValue
from rawdaq.packet import Samples, SampleType
from rawdaq.protocols.raw import ChannelDescribed, Endianness, RawPlugin, SampleBlock
from rawdaq.replay.waveforms import read_waveforms
from rawdaq.times import NS_PER_S
from tests.forks import Process, run_cli, start_cli
from tests.helpers import DEADLINE_S, environment

obspy: Any = import_module("obspy")  # it has no types
ALL_TYPES = [
    "1:int8",
    *(f"{n}:{kind}:{order}" for n, (kind, order) in enumerate(itertools.product(list(SampleType)[1:], Endianness), 2)),
]


def _joined(blocks: Iterator[Block], channel: int, count: int) -> list[float]:
    own = (block.samples.tolist() for block in blocks if block.channel == channel)
    return list(itertools.islice(itertools.chain.from_iterable(own), count))


# --- what is played ------------------------------------------------------------------------------------------------


def test_a_channel_is_an_int32_little_channel_unless_it_says_otherwise() -> None:
    assert parse_channels(["1", "2,3:int16:big", "65535:float64:little:62.5"]) == [
        ChannelSpec(1, SampleType.INT32, Endianness.LITTLE, None),
        ChannelSpec(2, SampleType.INT16, Endianness.BIG, None),
        ChannelSpec(3, SampleType.INT16, Endianness.BIG, None),
        ChannelSpec(65535, SampleType.FLOAT64, Endianness.LITTLE, 62.5),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not ID"),
        ("x", "is not ID"),
        ("1:int64", "types are int8, int16"),
        ("1:int32:middle", "is not ID"),
        ("1:int32:big:fast", "is not ID"),
        ("1:int32:big:100:7", "is not ID"),
        ("1:int32:big:0", "rate that is not above 0"),
        ("1:int32:big:nan", "rate that is not above 0"),
        ("1:int32:big:1e9", "rate that is not above 0"),
        ("65536", "not in 0-65535"),
        ("-1", "not in 0-65535"),
        ("3,1,3", "channel 3 is named twice"),
    ],
)
def test_another_form_of_channel_is_refused_with_the_right_one(text: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        parse_channels([text])


def test_the_seismogram_is_on_channels_1_2_3_and_scaled_to_half_of_24_bits() -> None:
    programme = file_programme(None, [], None, loop=False)
    assert [(track.channel.id, track.name, track.rate_hz) for track in programme.tracks] == [
        (1, "BW.RJOB..EHZ", 100.0),
        (2, "BW.RJOB..EHN", 100.0),
        (3, "BW.RJOB..EHE", 100.0),
    ]
    blocks = list(programme.blocks(1.0))
    assert len(blocks) == 90
    assert max(np.abs(block.samples).max() for block in blocks) == 4_194_304
    original = read_waveforms()[0].samples
    played = np.array(_joined(iter(blocks), 1, 3000))
    assert np.allclose(played / played.max(), original / original.max(), atol=1e-6)


def test_a_loop_goes_on_in_time_without_a_gap() -> None:
    blocks = file_programme(None, parse_channels(["5"]), None, loop=True).blocks(0.7)
    count, expected_ns = 0, 0
    while count < 9000:
        block = next(blocks)
        assert block.offset_ns == expected_ns
        assert block.due_ns == block.offset_ns + (block.samples.size - 1) * 10_000_000
        count, expected_ns = count + block.samples.size, expected_ns + block.samples.size * 10_000_000


def _write(path: Path, *runs: tuple[str, int, list[int]]) -> Path:
    traces = [
        obspy.Trace(
            np.array(values, dtype="int32"),
            {"station": name, "starttime": obspy.UTCDateTime(ns=start_ns), "sampling_rate": 10.0},
        )
        for name, start_ns, values in runs
    ]
    obspy.Stream(traces).write(str(path), "MSEED")
    return path


def test_integers_that_fit_are_played_as_they_are(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", ("A", 0, [1, -2, 32767]))
    for kind in ("int16", "int32", "float32", "float64"):
        blocks = file_programme(path, parse_channels([f"1:{kind}:big"]), None, loop=False).blocks(10)
        assert _joined(blocks, 1, 9) == [1, -2, 32767]


def test_integers_that_do_not_fit_are_scaled(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", ("A", 0, [1000, -500, 0]))
    assert _joined(file_programme(path, parse_channels(["1:int8"]), None, loop=False).blocks(10), 1, 9) == [64, -32, 0]


def test_silence_stays_silence(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", ("A", 0, [0, 0]))
    assert _joined(file_programme(path, [], None, loop=False).blocks(10), 1, 9) == [0, 0]


def test_gaps_and_late_channels_of_a_file_are_kept_in_every_turn(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", ("A", 0, [1, 2]), ("A", NS_PER_S // 2, [3]), ("B", NS_PER_S // 10, [7]))
    programme = file_programme(path, [], None, loop=True)
    ms = 1_000_000
    first = [(block.channel, block.offset_ns // ms, block.samples.tolist()) for block in programme.blocks(1.0, 0.7)]
    assert first == [(1, 0, [1, 2]), (2, 100, [7]), (1, 500, [3]), (1, 600, [1, 2])]


def test_another_rate_stretches_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", ("A", 0, [1, 2]), ("A", NS_PER_S, [3]))
    blocks = file_programme(path, parse_channels(["1:int32:big:5"]), None, loop=False).blocks(1.0)
    assert [block.offset_ns for block in blocks] == [0, 2 * NS_PER_S]


def test_more_channels_than_streams_begin_again_with_the_first(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", ("A", 0, [1]), ("B", 0, [2]))
    programme = file_programme(path, parse_channels(["7,8,9"]), 20.0, loop=False)
    assert [(track.channel.id, track.name, track.rate_hz) for track in programme.tracks] == [
        (7, ".A..", 20.0),
        (8, ".B..", 20.0),
        (9, ".A..", 20.0),
    ]


def test_a_sine_is_one_wherever_it_is_cut() -> None:
    sizes = [
        _joined(sine_programme(1.5, parse_channels(["1:float64"]), 30.0).blocks(packet_s), 1, 500)
        for packet_s in (0.001, 0.3, 7)
    ]
    assert sizes[0] == sizes[1] == sizes[2]
    assert np.allclose(sizes[0], np.sin(2 * np.pi * 1.5 * np.arange(500) / 30), atol=1e-9)


def test_sines_have_100_hz_and_half_of_the_range_by_default() -> None:
    programme = sine_programme(25.0, parse_channels(["1:int8", "2:int16:big:50"]), None)
    assert [track.rate_hz for track in programme.tracks] == [100.0, 50.0]
    assert _joined(programme.blocks(1.0), 1, 4) == [0, 64, 0, -64]
    assert [track.channel.id for track in sine_programme(1.0, [], None).tracks] == [1, 2, 3]


def test_a_packet_has_at_least_one_and_at_most_a_million_samples() -> None:
    programme = sine_programme(1.0, parse_channels(["1:int8:big:1000000"]), None)
    assert next(programme.blocks(1e-9)).samples.size == 1
    assert next(programme.blocks(3600)).samples.size == 1_000_000


# --- when it is played ---------------------------------------------------------------------------------------------


@dataclass
class _Sink:
    """A streamer whose network is the test."""

    clients: int = 0
    backlog_bytes: int = 0
    fed: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])

    def feed_data(self, channel_id: int, samptime: int, timing_quality: int, samples: Samples, /) -> None:
        """Note the packet."""
        assert timing_quality == 100
        self.fed.append((channel_id, samptime, samples.size))


class _Clock:
    """A clock and an event in one: waiting moves the clock, never the test."""

    def __init__(self) -> None:
        self.now_ns = 10**15
        self.waits_s: list[float] = []

    def read(self) -> int:
        return self.now_ns


class _Event(threading.Event):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.clock.waits_s.append(timeout)
        self.clock.now_ns += round(timeout * NS_PER_S)
        return self.is_set()


def _blocks(count: int) -> list[Block]:
    return [Block(n * NS_PER_S + 990_000_000, n * NS_PER_S, 1, np.zeros(100, "int32")) for n in range(count)]


@pytest.mark.parametrize(("speed", "step_s"), [(1.0, 1.0), (10.0, 0.1)])
def test_a_packet_is_sent_when_its_last_sample_is_due(speed: float, step_s: float) -> None:
    clock, sink = _Clock(), _Sink()
    player = Player(sink, speed, _Event(clock), clock.read)
    player.play(_blocks(3), 5 * NS_PER_S)
    assert clock.waits_s == pytest.approx([0.99 * step_s, step_s, step_s])
    assert sink.fed == [(1, 5 * NS_PER_S, 100), (1, 6 * NS_PER_S, 100), (1, 7 * NS_PER_S, 100)]
    assert (player.packets, player.samples) == (3, 300)


def test_what_is_late_is_sent_at_once() -> None:
    clock, sink = _Clock(), _Sink()
    Player(sink, 1.0, _Event(clock), clock.read).play(_blocks(3), 0, late_ns=2 * NS_PER_S)
    assert clock.waits_s == pytest.approx([0.99])


def test_full_speed_waits_only_for_slow_clients() -> None:
    clock, sink = _Clock(), _Sink(backlog_bytes=MAX_BACKLOG_BYTES)
    Player(sink, None, _Event(clock), clock.read).play(_blocks(3), 0)
    assert clock.waits_s == []

    class Reading(_Event):
        def wait(self, timeout: float | None = None) -> bool:
            sink.backlog_bytes -= 1
            return super().wait(timeout)

    sink.backlog_bytes = MAX_BACKLOG_BYTES + 2
    Player(sink, None, Reading(clock), clock.read).play(_blocks(1), 0)
    assert len(clock.waits_s) == 2
    assert len(sink.fed) == 4


def test_a_play_that_is_stopped_sends_no_more() -> None:
    clock, sink = _Clock(), _Sink()
    event = _Event(clock)
    event.set()
    for speed in (None, 1.0):
        player = Player(sink, speed, event, clock.read)
        player.wait_for_client()
        player.play(_blocks(3), 0)
    assert sink.fed == []


def test_the_first_client_is_waited_for() -> None:
    clock, sink = _Clock(), _Sink()

    class Coming(_Event):
        def wait(self, timeout: float | None = None) -> bool:
            sink.clients = len(clock.waits_s) // 3
            return super().wait(timeout)

    Player(sink, None, Coming(clock), clock.read).wait_for_client()
    assert len(clock.waits_s) == 4


def test_a_client_that_reads_gets_its_last_samples_and_one_that_does_not_is_not_waited_for() -> None:
    clock, sink = _Clock(), _Sink(backlog_bytes=10)
    Player(sink, None, _Event(clock), clock.read).drain(1.0)
    assert sum(clock.waits_s) == pytest.approx(1.0, abs=0.01)
    sink.backlog_bytes = 0
    Player(sink, None, _Event(clock), clock.read).drain(1.0)
    assert sum(clock.waits_s) == pytest.approx(1.0, abs=0.01)


# --- the command ---------------------------------------------------------------------------------------------------


@contextmanager
def _device(*args: str) -> Generator[tuple[Process, int]]:
    """Run the command on a free port; give its process and its port, with stdout read up to the address."""
    with start_cli(["rawdaq-device", "--port", "0", *args]) as process:
        match = re.search(r"on 127\.0\.0\.1:(\d+)$", process.stdout.readline())
        assert match is not None, process.communicate()
        yield process, int(match[1])
        process.kill()


def _receive(
    port: int, channels: list[int], blocks: int | None = None
) -> tuple[list[ChannelDescribed], list[SampleBlock]]:
    """Return what a client hears, up to *blocks* sample blocks or to the end of the connection."""
    plugin, events = RawPlugin(channels), list[object]()
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(plugin.data_to_send())
        while blocks is None or sum(isinstance(event, SampleBlock) for event in events) < blocks:
            if not (data := connection.recv(1 << 16)):
                break
            events.extend(plugin.receive_data(data))
            connection.sendall(plugin.data_to_send())
    described = [event for event in events if isinstance(event, ChannelDescribed)]
    return described, [event for event in events if isinstance(event, SampleBlock)][:blocks]


def test_the_seismogram_arrives_once_at_full_speed_and_the_totals_are_reported() -> None:
    with _device("--once", "--speed", "max", "--time", "original") as (process, port):
        _, blocks = _receive(port, [1, 2, 3])
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert len(blocks) == 90
    assert blocks[0].start_ns == 1_251_073_203_000_000_000
    expected = _joined(file_programme(None, [], None, loop=False).blocks(1.0), 2, 3000)
    assert [value for block in blocks if block.channel == 2 for value in block.samples.tolist()] == expected
    assert out.splitlines() == [
        "  channel 1     100 Hz int32 little  BW.RJOB..EHZ",
        "  channel 2     100 Hz int32 little  BW.RJOB..EHN",
        "  channel 3     100 Hz int32 little  BW.RJOB..EHE",
        "played 90 packets, 9000 samples; clients: 1, packets without a client: 0",
    ]
    assert "started: RAW 2.0" in err


def test_all_types_and_orders_arrive_as_they_were_asked_for() -> None:
    args = [word for text in ALL_TYPES for word in ("--channel", text)]
    with _device("--sine", "1", "--rate", "62.5", "--seconds", "4", "--speed", "max", *args) as (_, port):
        described, blocks = _receive(port, list(range(1, 10)))
    assert [f"{one.channel}:{one.format.sample_type}:{one.format.endianness}" for one in described][1:] == ALL_TYPES[1:]
    assert {one.format.rate_hz for one in described} == {62.5}
    programme = sine_programme(1.0, parse_channels(ALL_TYPES), 62.5)
    for channel in range(1, 10):
        received = [value for block in blocks if block.channel == channel for value in block.samples.tolist()]
        assert received == _joined(programme.blocks(1.0, 4.0), channel, 10_000)


def test_real_time_begins_at_the_second_that_has_just_begun_and_a_signal_ends_it_quietly() -> None:
    before_ns = time.time_ns()
    with _device("--packet-s", "0.1", "--channel", "7") as (process, port):
        _, blocks = _receive(port, [7], blocks=3)
        after_ns = time.time_ns()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, "Traceback" in err) == (0, False)
    assert "played" in out
    assert blocks[0].start_ns % 100_000_000 == 0
    assert [block.start_ns - blocks[0].start_ns for block in blocks] == [0, 100_000_000, 200_000_000]
    assert before_ns - NS_PER_S <= blocks[0].start_ns <= blocks[-1].start_ns + 90_000_000 <= after_ns


def test_ctrl_c_while_it_waits_for_a_client_ends_it_quietly() -> None:
    with _device("--wait-client") as (process, _):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.endswith("played 0 packets, 0 samples; clients: 0, packets without a client: 0\n")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--channel", "1:int12"], "channel '1:int12' is not ID"),
        (["--sine", "1", "--once"], "--sine has no --file"),
        (["--sine", "1", "--file", "a"], "--sine has no --file"),
        (["--sine", "1", "--time", "original"], "--sine has no --file"),
        (["--speed", "fast"], "'fast' is neither a number above 0 nor max"),
        (["--speed", "-1"], "'-1' is neither a number above 0 nor max"),
    ],
)
def test_a_wrong_call_is_reported_and_ends_with_2(args: list[str], reason: str) -> None:
    done = CliRunner().invoke(main, args)
    assert (done.exit_code, reason in done.stderr) == (2, True), done.stderr


def test_a_missing_file_is_reported_and_ends_with_1(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--file", str(tmp_path / "absent")])
    assert done.exit_code == 1
    assert done.stderr == f"Error: cannot read {tmp_path / 'absent'}: No such file or directory\n"


def test_a_port_in_use_is_reported_and_ends_with_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = run_cli(["rawdaq-device", "--sine", "1", "--port", str(port)])
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}: Address already in use")


def test_help_comes_without_loading_obspy() -> None:
    loaded = "sorted({'obspy', 'pydantic', 'yaml', 'zmq'} & set(sys.modules))"
    code = f"import sys, rawdaq.control.device.command; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "--speed" in run_cli(["rawdaq-device", "--help"]).stdout


@pytest.mark.parametrize("option", ["--sine", "--rate", "--packet-s", "--seconds"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_number_without_an_end_is_refused(option: str, value: str) -> None:
    done = CliRunner().invoke(main, [option, value])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': {value} is not a finite number above 0." in done.output
