"""Datagrams of many senders become readouts, whatever happens to them on the way."""

import asyncio
import contextlib
import json
import logging
import random
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from rawdaq.capture.file import read_capture
from rawdaq.errors import CommandError
from rawdaq.messages.message import Message
from rawdaq.process import commands
from rawdaq.publishers.zmq_pub import ZMQTCPPublisher
from rawdaq.receivers.assembler import ReadoutAssembler
from rawdaq.receivers.assembler.options import SlotSettings
from tests.helpers import until
from tests.makers import START_NS
from tests.receivers.assembler.senders import (
    MS,
    SAMPLES,
    STATION,
    MessageKeeper,
    assembling,
    datagram,
    values,
)
from tests.servers import ask, serving


def array(message: Message) -> Any:
    header = message.header
    return np.frombuffer(message.payload, np.dtype(header["type"]).newbyteorder("<")).reshape(header["shape"])


async def test_parts_of_one_instant_are_a_readout() -> None:
    async with assembling() as bench:
        before_ns = time.time_ns()
        for slot in (2, 0, 1):
            bench.send(slot, datagram(slot, 0))
        (header,) = await bench.published(1)

    message = bench.keeper.messages[0]
    received_ns = header.pop("received_ns")
    assert before_ns <= received_ns <= time.time_ns()
    assert message.topic == "~readout.XX.ARRAY.Assembler"
    assert header == {
        "rawdaq": 1,
        "kind": "readout",
        "frame": 0,
        "component": "Assembler",
        "htype": "array-1.0",
        "type": "float32",
        "shape": [3, 1, SAMPLES],
        "encoding": "little",
        "number": 1,
        "epoch": 0,
        "time_ns": START_NS,
        "slots": [0, 1, 2],
        "expected": 3,
        "reason": "complete",
        "unit": "",
        "scale": 1,
        "offset": 0,
    }
    assert array(message)[:, 0].tolist() == [values(slot, 0).tolist() for slot in range(3)]


@pytest.mark.parametrize(
    ("values_are", "sparse", "kind"),
    [("raw", True, "int32"), ("float64", True, "float64"), ("scaled", False, "float32"), ("float64", False, "float64")],
)
async def test_the_array_is_as_the_station_file_says(values_are: str, sparse: bool, kind: str) -> None:
    async with assembling(max_wait_s=0.05, values=values_are, sparse=sparse) as bench:
        bench.send(0, datagram(0, 0))
        bench.send(2, datagram(2, 0))
        (header,) = await bench.published(1)

    found = array(bench.keeper.messages[0])
    assert (header["type"], header["slots"], header["reason"]) == (kind, [0, 2], "timer")
    assert found.shape == (2 if sparse else 3, 1, SAMPLES)
    if sparse:
        assert found[:, 0].tolist() == [values(0, 0).tolist(), values(2, 0).tolist()]
    else:
        assert np.isnan(found[1]).all()
        assert found[2, 0].tolist() == values(2, 0).tolist()


async def test_a_datagram_may_have_many_instants_and_each_sender_its_own_number_of_them() -> None:
    """The original's task ended at a shorter one, and cut a longer one."""
    async with assembling(2) as bench:
        bench.send(0, b"".join(datagram(0, instant) for instant in range(5)))
        bench.send(1, b"".join(datagram(1, instant) for instant in range(3)))
        bench.send(1, b"".join(datagram(1, instant) for instant in range(3, 9)))
        await bench.taken()
    assert [len(header["slots"]) for header in bench.keeper.headers] == [2] * 5 + [1] * 4
    assert bench.check_identity()["in_readouts"] == 14


async def test_channels_of_a_sender_are_slots_of_their_own() -> None:
    options: dict[str, Any] = {"format": {"raw": {"channels": [7, 5], "samples": SAMPLES}}}
    async with assembling(2, **options) as bench:
        for slot in (0, 1):
            bench.send(slot, datagram(2 * slot, 0, channel=7) + datagram(2 * slot + 1, 0, channel=5))
        (header,) = await bench.published(1)
    assert header["slots"] == [0, 1, 2, 3]
    assert array(bench.keeper.messages[0])[:, 0].tolist() == [values(slot, 0).tolist() for slot in range(4)]


async def test_packets_can_say_who_sends_them() -> None:
    options: dict[str, Any] = {"format": {"raw": {"channels": [0, 1, 2]}}, "slots": {"by": "field", "count": 3}}
    async with assembling(1, **options) as bench:
        for channel in (2, 1, 0):
            bench.send(0, datagram(channel, 0, channel=channel))
        (header,) = await bench.published(1)
    assert header["slots"] == [0, 1, 2]


async def test_what_is_wrong_is_refused_by_sender_and_reason_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    foreign = b"who are you"
    async with assembling(2) as bench:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(foreign, ("127.0.0.1", bench.receiver.endpoints[0].port))
        bench.sent += 1
        bench.send(0, datagram(0, 0))
        bench.send(0, b"", datagram(0, 1)[:-1], datagram(0, 1, channel=9), datagram(0, 1, samples=7), b"x" * 100)
        bench.send(1, datagram(1, 0))
        await bench.published(1)
        refused = bench.status["refused_by_reason"]
        assert refused == {
            "foreign sender": 1,
            "empty": 1,
            "packet cut": 1,
            "unknown channel": 2,
            "other length": 1,
        }
        slots: Any = bench.receiver.cmd_slots()
        assert (slots["0"]["packets"], slots["0"]["malformed"], slots["1"]["malformed"]) == (6, 5, 0)
        assert bench.check_identity()["parts"] == 2
    assert "write it as `format: {raw: {samples: 7}}`" in caplog.text


async def test_what_was_sent_before_the_start_arrives() -> None:
    """The original throws away what waits when it starts."""
    keeper = MessageKeeper()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        slots = SlotSettings(senders={f"127.0.0.1:{sender.getsockname()[1]}": 0})
        receiver = ReadoutAssembler([keeper], STATION, format="raw", slots=slots, ip="127.0.0.1", port=0)
        endpoint: Any = receiver.endpoints[0]
        original = endpoint.open

        async def open_and_send() -> None:
            await original()
            for instant in range(100):
                sender.sendto(datagram(0, instant), ("127.0.0.1", endpoint.port))

        endpoint.open = open_and_send
        async with serving(receiver):
            await until(lambda: len(keeper.messages) == 100)
    assert [header["number"] for header in keeper.headers] == list(range(1, 101))


async def test_a_stop_publishes_what_is_not_finished() -> None:
    async with assembling(max_wait_s=60, absent_s=60) as bench:
        for instant in range(20):
            bench.send(0, datagram(0, instant))
        await bench.taken()
        assert bench.keeper.messages == []
    assert [(header["reason"], header["slots"]) for header in bench.keeper.headers] == [("stop", [0])] * 20
    assert bench.check_identity()["in_readouts"] == 20


async def test_a_tail_leaves_after_max_wait_and_an_absent_sender_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with assembling(2, max_wait_s=0.05, absent_s=0.2) as bench:
        for instant in range(20):
            bench.send(0, datagram(0, instant))
        headers = await bench.published(20)
        assert {header["reason"] for header in headers} == {"timer"}
        await until(lambda: bench.receiver.cmd_slots()["0"]["state"] == "absent")
        bench.send(0, datagram(0, 1000, interval_ns=1 * MS))
        await bench.published(21)
    assert "absent" in caplog.text
    assert "slot 0 (127.0.0.1:" in caplog.text


async def test_clocks_that_are_reset_go_on_in_a_new_epoch(caplog: pytest.LogCaptureFixture) -> None:
    """The original ended at the first of these packets, and stayed "online"."""
    async with assembling(2) as bench:
        for instant in [*range(10), *range(-900_000, -899_990)]:
            for slot in (0, 1):
                bench.send(slot, datagram(slot, instant))
        headers = await bench.published(20)
    assert [header["epoch"] for header in headers] == [0] * 10 + [1] * 10
    assert all(header["slots"] == [0, 1] for header in headers)
    assert "epoch 1 begins" in caplog.text


async def test_every_part_is_in_one_place_over_real_sockets() -> None:
    """Lost, doubled, swapped, late, malformed, of another length: the identity of all counters."""
    chance = random.Random(3)
    async with assembling(4, max_wait_s=0.1, absent_s=1, late="publish") as bench:
        held: list[tuple[int, bytes]] = []
        for instant in range(300):
            for slot in range(4):
                packet = datagram(slot, instant)
                match chance.randrange(20):
                    case 0:
                        continue
                    case 1:
                        bench.send(slot, packet, packet)
                    case 2:
                        held.append((slot, packet))
                    case 3:
                        bench.send(slot, packet[:-1])
                    case 4:
                        bench.send(slot, packet + datagram(slot, instant + 5000))
                    case _:
                        bench.send(slot, packet)
            if len(held) > 10:
                late = held.pop(chance.randrange(10))
                bench.send(late[0], late[1])
            if instant % 20 == 0:
                await bench.taken()
                bench.check_identity()
        await bench.taken()
        assert bench.check_identity()["parts"] > 1000
    totals = bench.check_identity()
    assert totals["open"] == totals["set_aside"] == 0
    assert totals["in_readouts"] == sum(len(header["slots"]) for header in bench.keeper.headers)
    assert len(bench.keeper.messages) >= 300
    assert [header["number"] for header in bench.keeper.headers] == list(range(1, len(bench.keeper.messages) + 1))


async def test_commands_mean_what_they_say() -> None:
    async with assembling(1) as bench:
        receiver = bench.receiver

        async def call(*words: str) -> Any:
            return await commands.call(receiver, words[0], list(words[1:]))

        for instant in range(200):
            bench.send(0, datagram(0, instant))
        await bench.published(100)
        assert await call("pause") == "paused"
        assert receiver.cmd_status()["state"] == "paused"
        await bench.taken()
        await receiver.delivered()
        published = len(bench.keeper.messages)
        for instant in range(200, 250):
            bench.send(0, datagram(0, instant))
        await until(lambda: receiver.assembly.readouts == 250)
        assert receiver.suppressed == 250 - published
        assert await call("resume") == "running"
        bench.send(0, datagram(0, 250))
        headers = await bench.published(published + 1)
        assert headers[-1]["number"] == 251
        assert (await call("reset_count", "7"))["before"] == 252
        bench.send(0, datagram(0, 251))
        assert (await bench.published(published + 2))[-1]["number"] == 7
        assert (await call("reset_ro_count"))["next"] == 1
        assert await call("set_publish_readouts", "false") == "paused"
        assert await call("set_publish_readouts", "TRUE") == "running"
        assert receiver.cmd_status()["state"] == "running"
        for words in (["reset_count", "x"], ["reset_count", "1", "2"], ["set_publish_readouts"], ["no_such_word"]):
            with pytest.raises(CommandError):
                await call(*words)
        assert bench.receiver.cmd_refused() == {}


async def test_commands_are_answered_under_load(tmp_path: Path) -> None:
    """The original answers none of them."""
    async with assembling(1, receive_buffer_mb=1) as bench:
        address = bench.receiver.command_address = f"ipc://{tmp_path}/c"
        answering = asyncio.ensure_future(bench.receiver.ct_commands())  # it began without an address
        answers: list[Any] = []
        for words in (["pause"], ["resume"], ["reset_count", "5"], ["slots"], ["no_such_word"]):
            asking = asyncio.ensure_future(ask(address, *words))
            while not asking.done():
                bench.send(0, *(datagram(0, bench.sent + count) for count in range(100)))
                await asyncio.sleep(0)
            answers.append(asking.exception() or asking.result())
        answering.cancel()
        await asyncio.wait([answering])
    assert answers[:2] == ["paused", "running"]
    assert answers[2]["next"] == 5
    assert answers[3]["0"]["parts"] > 0
    assert isinstance(answers[4], CommandError)
    bench.check_identity()


async def test_two_assemblers_stand_side_by_side_and_each_obeys_its_own_commands(tmp_path: Path) -> None:
    """In the original they share one command socket and one pid file."""
    async with assembling(1) as first, assembling(1) as second:
        addresses = [f"ipc://{tmp_path}/{number}" for number in range(2)]
        first.receiver.command_address, second.receiver.command_address = addresses
        answering = [asyncio.ensure_future(bench.receiver.ct_commands()) for bench in (first, second)]
        assert await ask(addresses[0], "pause") == "paused"
        assert (await ask(addresses[1], "reset_count", "7"))["next"] == 7
        for bench in (first, second):
            bench.send(0, datagram(0, 0))
        (header,) = await second.published(1)
        await until(lambda: first.receiver.suppressed == 1)
        for each in answering:
            each.cancel()
        await asyncio.wait(answering)
    assert header["number"] == 7
    assert not first.keeper.messages


async def test_a_computer_that_stood_still_reads_before_time_counts() -> None:
    """What waits in the system's buffer is not missing."""
    stand_still = time.sleep
    async with assembling(3, max_wait_s=0.05) as bench:
        for instant in range(1080):
            for slot, its in ((0, instant), (1, instant), (2, instant - 80)):
                if 0 <= its < 1000:
                    bench.send(slot, datagram(slot, its))
        for _ in range(14):  # a burst is read in each turn of the loop
            stand_still(0.02)
            await asyncio.sleep(0)
        headers = await bench.published(1000)
    assert {header["reason"] for header in headers} == {"complete"}


async def test_commands_are_answered_through_the_socket(tmp_path: Path) -> None:
    receiver = ReadoutAssembler(
        [], STATION, format="raw", slots=SlotSettings(senders={"127.0.0.1": 0}), ip="127.0.0.1", port=0
    )
    receiver.command_address = f"ipc://{tmp_path}/c"
    async with serving(receiver):
        assert (await ask(receiver.command_address, "slots"))["0"]["state"] == "unheard"
        assert (await ask(receiver.command_address, "status"))["receiver"]["readouts"] == 0


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
async def test_the_computers_time_is_utc_in_every_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        async with assembling(1) as bench:
            bench.send(0, datagram(0, 0))
            (header,) = await bench.published(1)
        assert abs(header["received_ns"] - time.time_ns()) < 60 * 10**9
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_readouts_leave_by_zmq_with_three_frames() -> None:
    publisher = ZMQTCPPublisher("127.0.0.1", 0)
    keeper = MessageKeeper()
    with zmq.Context() as context, contextlib.closing(context.socket(zmq.SUB)) as subscriber:
        subscriber.subscribe(b"~readout.XX.ARRAY.")
        subscriber.linger = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            slots = SlotSettings(senders={"127.0.0.1": 0})
            receiver = ReadoutAssembler(
                [keeper, publisher], STATION, format="raw", slots=slots, ip="127.0.0.1", port=0, name="Readouts"
            )
            async with serving(receiver):
                subscriber.connect(f"tcp://127.0.0.1:{publisher.port}")
                instant = 0
                while not subscriber.poll(10):
                    sender.sendto(datagram(0, instant), ("127.0.0.1", receiver.endpoints[0].port))
                    instant += 1
                    await asyncio.sleep(0)
                topic, head, data = subscriber.recv_multipart()
    header = json.loads(head)
    assert topic == b"~readout.XX.ARRAY.Readouts"
    assert np.frombuffer(data, "<f4").tolist() == values(0, header["number"] - 1).tolist()


async def test_a_capture_keeps_the_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    async with assembling(1, capture=path) as bench:
        bench.send(0, datagram(0, 0), datagram(0, 1))
        await bench.published(2)
        assert "capture" in bench.status
    kept = b"".join(bytes(entry.data) for entry in read_capture(path, logging.getLogger("test")))
    assert datagram(0, 0) in kept
    assert datagram(0, 1) in kept


async def test_a_sender_that_changes_all_the_time_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with assembling(2) as bench:
        for instant in range(200):
            bench.send(1, datagram(1, instant))
            bench.send(0, datagram(0, instant + (500_000 if instant % 2 else 0)))
        await bench.taken()
    assert 2 < sum("slot 0" in record.message for record in caplog.records) < 12
