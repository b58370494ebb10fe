import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Samples
from rawdaq.protocols.raw import Endianness, RawVersion, SampleType
from rawdaq.streamer import Channel, Streamer
from rawdaq.times import from_calendar
from tests.streamer_clients import DEADLINE_S, PluginClient, TinyClient

NINE = {
    number: (sample_type, endianness)
    for number, (sample_type, endianness) in enumerate(
        [(SampleType.INT8, Endianness.BIG)]
        + [(sample_type, endianness) for sample_type in list(SampleType)[1:] for endianness in Endianness],
        start=1,
    )
}
NOON = datetime(2026, 11, 21, 12, 34, 56, 789_012)
NOON_NS = from_calendar(2026, 325, 12, 34, 56, 789_012_000)
NOON_FIELDS = (2026, 325, 12, 34, 56, 789_012)


def int32() -> Streamer:
    return Streamer([Channel(1, 100, samptype="int32")], port=0)


def through(channel: Channel, *fed: Any) -> tuple[tuple[int, ...], Samples]:
    """Return header and samples that a client gets when *fed* is fed."""
    with Streamer([channel], port=0) as streamer, TinyClient(streamer.port) as client:
        client.start(channel.id)
        streamer.feed_data(channel.id, *fed)
        fields, payload = client.packet_2_0(channel.format.dtype.itemsize)
        return fields, np.frombuffer(payload, channel.format.dtype)


@pytest.mark.parametrize("version", RawVersion)
def test_an_independent_client_gets_what_was_fed_in_every_type_and_version(version: RawVersion) -> None:
    wanted = {number: kind for number, kind in NINE.items() if kind[0] in version.sample_types}
    channels = [Channel(number, 50.5, endianness, kind) for number, (kind, endianness) in NINE.items()]
    with Streamer(channels, port=0) as streamer, TinyClient(streamer.port) as client:
        answer = client.start(*wanted, version=version)
        assert answer[0] == f"RAW {version}"
        assert answer[-1] == "STARTING"
        for place, (number, (kind, endianness)) in enumerate(wanted.items()):
            assert answer[1 + 6 * place : 7 + 6 * place] == [
                "SAMPLING RATE", "50.5", "SAMPLE ENDIANNESS", endianness, "SAMPLE TYPE", kind,
            ]  # fmt: skip
            values = np.array([-128, 0, 127], kind.value)
            streamer.feed_data(number, NOON, 90, values)
            expected = values.astype(values.dtype.newbyteorder(endianness.value)).tobytes()
            if version is RawVersion.V2_0:
                assert client.packet_2_0(kind.size_bytes) == ((*NOON_FIELDS, 90, number, 3), expected)
            else:
                assert client.packet_1(kind.size_bytes) == ((*NOON_FIELDS, number, 3), expected)


def test_many_clients_get_what_they_asked_for_each_in_its_version() -> None:
    channels = [Channel(1, 100, samptype="int16"), Channel(2, 100, samptype="float64")]
    with Streamer(channels, port=0) as streamer, ExitStack() as stack, ThreadPoolExecutor(10) as threads:
        clients = [
            stack.enter_context(PluginClient(streamer.port, 1 + number % 2, version=version))
            for number, version in enumerate(5 * [RawVersion.V2_0, RawVersion.V1_1])
        ]
        assert streamer.clients == 10
        got = [threads.submit(client.blocks) for client in clients]
        for second in range(20):
            streamer.feed_data(1, second * 10**9, [second, -second])
            streamer.feed_data(2, second * 10**9, [second + 0.5])
        streamer.stop()
        for number, blocks in enumerate(future.result(DEADLINE_S) for future in got):
            assert [block.start_ns for block in blocks] == [second * 10**9 for second in range(20)]
            assert [block.channel for block in blocks] == [1 + number % 2] * 20
            assert blocks[7].samples.tolist() == ([7, -7] if number % 2 == 0 else [7.5])


@pytest.mark.parametrize(
    ("samptime", "time_ns"),
    [
        (NOON, NOON_NS),
        (NOON.replace(tzinfo=UTC), NOON_NS),
        (NOON.replace(tzinfo=timezone(timedelta(hours=2))), NOON_NS - 7200 * 10**9),
        (NOON_NS, NOON_NS),
        (np.int64(NOON_NS), NOON_NS),
        (NOON_NS + 500, NOON_NS + 1000),
    ],
)
def test_a_time_is_a_datetime_or_nanoseconds(samptime: Any, time_ns: int) -> None:
    year, day, hour, minute, second, us = through(Channel(1, 100, samptype="int8"), samptime, 100, [1])[0][:6]

    assert from_calendar(year, day, hour, minute, second, us * 1000) == time_ns


def test_without_a_quality_it_is_100() -> None:
    assert through(Channel(1, 100, samptype="int8"), NOON, [1])[0] == (*NOON_FIELDS, 100, 1, 1)


def test_samples_may_be_given_by_name() -> None:
    with int32() as streamer:
        streamer.feed_data(channel_id=1, samptime=NOON, samples=[1])
        streamer.feed_data(channel_id=1, samptime=NOON, timing_quality=9, samples=[1, 2])

        assert (streamer.counters.packets, streamer.counters.samples) == (2, 3)


@pytest.mark.parametrize(
    ("samptype", "samples", "expected"),
    [
        ("int16", [1, -2], [1, -2]),
        ("int16", (3,), [3]),
        ("int16", np.array([1, -2], ">i2"), [1, -2]),
        ("int16", np.array([1, -2], "<i2"), [1, -2]),
        ("int16", np.array([1, -2], np.int8), [1, -2]),
        ("int16", np.array([32767, -32768], np.int64), [32767, -32768]),
        ("int16", np.array([1, 9, 2, 9], np.int16)[::2], [1, 2]),
        ("int8", np.array([127], np.uint64), [127]),
        ("float32", [0.5, 2**24], [0.5, 2**24]),
        ("float32", np.array([-(2**24)]), [-(2**24)]),
        ("float32", [1, 2], [1, 2]),
        ("float64", np.array([0.1], np.float32), [float(np.float32(0.1))]),
        ("float64", [0.1, 2**53], [0.1, 2**53]),
        ("float32", [float("inf"), -1.0], [float("inf"), -1.0]),
    ],
)
def test_samples_of_another_type_are_converted_when_nothing_changes(
    samptype: str, samples: Any, expected: list[float]
) -> None:
    for endianness in Endianness:
        assert through(Channel(1, 100, endianness, samptype), NOON, samples)[1].tolist() == expected


@pytest.mark.parametrize(
    ("fed", "text"),
    [
        ((9, NOON, 100, [1]), "there is no channel 9, only 1, 2"),
        (("1", NOON, 100, [1]), "there is no channel '1', only 1, 2"),
        ((1, 1.5, 100, [1]), "samptime 1.5 is neither a datetime nor integer nanoseconds since 1970 UTC"),
        ((1, "now", 100, [1]), "samptime 'now' is neither"),
        ((1, 2**63, 100, [1]), "is not in the years 1678-2261"),
        ((1, datetime(1500, 1, 1), 100, [1]), "is not in the years 1678-2261"),
        ((1, NOON, 101, [1]), "timing quality 101 is not a whole number in 0-100"),
        ((1, NOON, -1, [1]), "timing quality -1 is not"),
        ((1, NOON, 99.5, [1]), "timing quality 99.5 is not"),
        ((1, NOON, 100, 5), "samples have 0 dimensions"),
        ((1, NOON, 100), "samples have 0 dimensions"),
        ((1, NOON, 100, [[1], [2]]), "samples have 2 dimensions"),
        ((1, NOON, 100, [[1], [2, 3]]), "samples are not one dimension of int16"),
        ((1, NOON, 100, [32768]), r"samples from 32768 to 32768 do not fit into int16 \(-32768 to 32767\)"),
        ((1, NOON, 100, [0, -32769]), "samples from -32769 to 0 do not fit"),
        ((1, NOON, 100, np.array([2**63], np.uint64)), "do not fit into int16"),
        ((1, NOON, 100, [2**70]), "samples are object, the channel's are int16"),
        ((1, NOON, 100, [1.0]), r"samples are float64, the channel's are int16: convert .*astype\('int16'\)"),
        ((1, NOON, 100, ["1"]), "the channel's are int16"),
        ((1, NOON, 100, [True]), "samples are bool"),
        ((2, NOON, 100, [0.1]), "samples are float64 and would change as float32"),
        ((2, NOON, 100, [1e300]), "would change as float32"),
        ((2, NOON, 100, [2**24 + 1]), "do not fit into float32"),
        ((2, NOON, 100, [1j]), "samples are complex128"),
        ((1, from_calendar(2261, 365, 23, 0, 0), np.zeros(1_000_001, np.int16)), "is not in the years"),
    ],
)
def test_a_wrong_call_is_refused_at_once_and_says_what_is_right(fed: Any, text: str) -> None:
    channels = [Channel(1, 100, samptype="int16"), Channel(2, 100, samptype="float32")]
    with Streamer(channels, port=0) as streamer:
        with pytest.raises(InvalidValue, match=text):
            streamer.feed_data(*fed)

        assert streamer.counters.packets == 0


def test_no_samples_are_no_packet() -> None:
    with int32() as streamer:
        streamer.feed_data(1, NOON, [])

        assert streamer.counters.packets == 0


def test_the_array_may_be_filled_again_after_feeding() -> None:
    samples = np.array([7, 7], np.int32)
    with int32() as streamer, PluginClient(streamer.port, 1) as client:
        streamer.feed_data(1, NOON, samples)
        samples[:] = 0

        assert client.blocks(1)[0].samples.tolist() == [7, 7]


def test_a_long_run_goes_out_in_packets_with_exact_times() -> None:
    samples = np.arange(2_500_000, dtype=np.int32)
    streamer = Streamer([Channel(1, 300, samptype="int32")], port=0, flush_s=DEADLINE_S)
    with streamer, PluginClient(streamer.port, 1) as client, ThreadPoolExecutor() as threads:
        got = threads.submit(client.blocks)
        streamer.feed_data(1, 0, samples)
        streamer.stop()
        blocks = got.result(DEADLINE_S)

    assert [block.samples.size for block in blocks] == [1_000_000, 1_000_000, 500_000]
    assert [block.start_ns for block in blocks] == [0, 3_333_333_333_000, 6_666_666_667_000]  # whole microseconds
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), samples)


def test_what_nobody_hears_is_counted() -> None:
    channels = [Channel(1, 100, samptype="int8"), Channel(2, 100, samptype="int8")]
    with Streamer(channels, port=0) as streamer, TinyClient(streamer.port) as client:
        assert not streamer.wait_for_client(0)
        client.start(2)
        assert streamer.wait_for_client(DEADLINE_S)
        streamer.feed_data(1, NOON, [1, 2, 3])
        streamer.feed_data(2, NOON, [1, 2])
        client.packet_2_0(1)

        counted = streamer.counters
        assert (counted.packets, counted.samples, counted.unheard_packets) == (2, 5, 1)
        assert counted.clients_started == streamer.clients == 1


def test_threads_may_feed_at_the_same_time() -> None:
    channels = [Channel(number, 100, samptype="int32") for number in range(4)]

    def feed(number: int) -> None:
        for count in range(500):
            streamer.feed_data(number, count * 1000, [number, count])

    with Streamer(channels, port=0) as streamer, PluginClient(streamer.port, *range(4)) as client:
        with ThreadPoolExecutor(5) as threads:
            got = threads.submit(client.blocks, 2000)
            list(threads.map(feed, range(4)))
            blocks = got.result(DEADLINE_S)

    for number in range(4):
        mine = [block.samples.tolist() for block in blocks if block.channel == number]
        assert mine == [[number, count] for count in range(500)]


@pytest.mark.parametrize("stop_first", [False, True])
def test_feeding_needs_a_start(stop_first: bool) -> None:
    streamer = int32()
    if stop_first:
        streamer.start()
        streamer.stop()

    with pytest.raises(ComponentError, match=r"the streamer is not started: call start\(\)"):
        streamer.feed_data(1, NOON, [1])
    with pytest.raises(ComponentError, match="not started"):
        streamer.wait_for_client(0)
    assert (streamer.address, streamer.port) == (("127.0.0.1", 0), 0)
    assert (streamer.clients, streamer.backlog_bytes) == (0, 0)


def test_starting_and_stopping_twice_is_harmless_and_leaves_no_thread() -> None:
    streamer = int32()
    for _ in range(2):
        before = set(threading.enumerate())
        streamer.start()
        port = streamer.port
        streamer.start()
        assert streamer.port == port
        assert len(set(threading.enumerate()) - before) == 1
        with TinyClient(port) as client:
            client.start(1)
            streamer.stop()
            streamer.stop()
            assert client.rest() == b""
        assert set(threading.enumerate()) <= before


def test_a_port_in_use_is_told_at_once_with_what_to_do() -> None:
    with int32() as first:
        second = Streamer([Channel(1, 100, samptype="int32")], port=first.port)
        with pytest.raises(
            ComponentError,
            match=rf"cannot listen on 127.0.0.1:{first.port}: Address already in use; another program uses it",
        ):
            second.start()
        first.stop()
        with second:
            assert second.port > 0


def wrong(value: Any) -> Any:
    """Return what the type checker would not let us pass, and a user may."""
    return value


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Channel(-1, 100, samptype="int8"), "channel id -1 is not in 0-4294967295"),
        (lambda: Channel(1, 100, "middle", "int8"), "endianness 'middle' of channel 1 is not 'big' or 'little'"),
        (lambda: Channel(1, 100), "give samptype, one of int8, int16, int32, float32, float64, or sampsize, 1, 2 or 4"),
        (lambda: Channel(1, 100, samptype="int64"), "samptype='int64'"),
        (lambda: Channel(1, 100, sampsize=3), "sampsize=3"),
        (lambda: Channel(1, 100, samptype="int8", sampsize=2), "sampsize 2 of channel 1 is not that of int8"),
        (lambda: Channel(1, 0, samptype="int8"), "sampling rate 0 Hz"),
        (lambda: Streamer([]), "a streamer needs channels"),
        (lambda: Streamer([Channel(1, 1, sampsize=1), Channel(1, 2, sampsize=1)]), "each with an id of its own"),
        (lambda: Streamer([Channel(1, 1, sampsize=1)], port=65536), "port 65536 is not a number in 0-65535"),
        (lambda: Streamer([Channel(1, 1, sampsize=1)], max_clients=0), "must be above zero"),
        (lambda: Channel(wrong("1"), 1, sampsize=1), "channel id '1' is not a whole number"),
        (lambda: Channel(True, 1, sampsize=1), "channel id True is not a whole number"),
        (lambda: Channel(1, wrong("100"), sampsize=1), "samprate '100' of channel 1 is not a number"),
        (lambda: Streamer(wrong(Channel(1, 1, sampsize=1))), "needs a list of Channel"),
        (lambda: Streamer(wrong(["a"])), "needs a list of Channel"),
        (lambda: Streamer([Channel(1, 1, sampsize=1)], port=wrong("1")), "port '1' is not a number"),
    ],
)
def test_what_cannot_be_served_is_refused_when_it_is_built(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        make()


@pytest.mark.parametrize(("sampsize", "samptype"), [(1, "int8"), (2, "int16"), (4, "int32")])
def test_a_sample_size_means_an_integer_type(sampsize: int, samptype: str) -> None:
    channel = Channel(1, 100, sampsize=sampsize)

    assert channel == Channel(1, 100, sys.byteorder, samptype)
    assert (channel.samptype, channel.sampsize) == (samptype, sampsize)


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_importing_it_loads_only_the_standard_library_and_numpy() -> None:
    program = "import sys, rawdaq.streamer.tcp; print(*{name.partition('.')[0] for name in sys.modules})"
    bare = "import sys, numpy; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = set(run_python(program).split()) - set(run_python(bare).split())

    assert loaded - set(sys.stdlib_module_names) == {"rawdaq"}


def test_a_program_that_forgets_to_stop_ends_all_the_same() -> None:
    program = """
from rawdaq.streamer import Channel, Streamer
streamer = Streamer([Channel(1, 100, samptype="int8")], port=0)
streamer.start()
streamer.feed_data(1, 0, [1])
print("done")
"""
    assert run_python(program) == "done\n"
