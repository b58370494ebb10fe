"""RepeaterPublisher: frames reach libzmq's consumers as they came, thinned, and all that does not is counted."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.config.options import read_options
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.multipart import Multipart
from rawdaq.packet import PacketRun
from rawdaq.protocols.message import decode
from rawdaq.protocols.zmtp import SocketType, ZmtpPeer
from rawdaq.publisher import OverflowPolicy
from rawdaq.publishers.repeater import Mode, RepeaterPublisher
from tests.helpers import until
from tests.makers import STREAM, packet
from tests.publishers.repeater.outputs import connected, consumer, frame, number, numbers, opened, peers, received

BLOCK, OLDEST, NEWEST = OverflowPolicy.BLOCK, OverflowPolicy.DROP_OLDEST, OverflowPolicy.DROP_NEWEST
ANY = "tcp://127.0.0.1:*"


@pytest.mark.parametrize("zmq_mode", ["PUSH", "PUB"])
async def test_all_parts_arrive_byte_for_byte(context: Any, zmq_mode: str) -> None:
    large = np.random.default_rng(1).bytes(3_000_000)
    sent = [frame(0), frame(1, large), frame(2, b""), frame(3, b"x" * 70_000, b"more", large, b"")]
    sent += [
        Multipart([b'{"frame":4}'], 11, 4),
        Multipart([memoryview(b'{"frame":5}'), memoryview(large)], 3_000_011, 5),
    ]
    sent += [frame(6, *[b"%d" % part for part in range(99)])]
    kind = zmq.PULL if zmq_mode == "PUSH" else zmq.SUB
    async with opened(zmq_mode=zmq_mode) as output:
        with consumer(context, output.address, kind) as taker:
            await connected(output)
            assert output.try_deliver(sent)
            messages = await received(taker, len(sent))
    assert messages == [[bytes(part) for part in each.parts] for each in sent]


async def test_consumers_of_a_push_output_share_the_frames_in_turn(context: Any) -> None:
    async with opened() as output:
        with consumer(context, output.address) as first, consumer(context, output.address) as second:
            await connected(output, 2)
            await output.deliver([frame(index) for index in range(10)])
            shares = [numbers(await received(taker, 5)) for taker in (first, second)]
    assert sorted(shares) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


async def test_consumers_of_a_pub_output_get_all_frames(context: Any) -> None:
    async with opened(Mode.STRIDES, 2, zmq_mode="PUB") as output:
        with consumer(context, output.address, zmq.SUB) as first, consumer(context, output.address, zmq.SUB) as second:
            await connected(output, 2)
            await output.deliver([frame(index) for index in range(8)])
            for taker in first, second:
                assert numbers(await received(taker, 4)) == [0, 1, 4, 5]
            shown = output.status()
    assert (shown["selected"], shown["skipped"], shown["sent"], shown["last_frame"]) == (4, 4, 4, 5)


async def test_frames_of_a_push_output_wait_for_a_consumer_and_those_of_a_pub_output_are_unheard(context: Any) -> None:
    async with opened() as push, opened(zmq_mode="1") as pub:
        for output in push, pub:
            await output.deliver([frame(index) for index in range(5)])
        assert (pub.status()["unheard"], pub.status()["waiting"]) == (5, 0)
        assert (push.status()["waiting"], push.status()["consumers"]) == (5, 0)
        with consumer(context, push.address) as taker:
            assert numbers(await received(taker, 5)) == [0, 1, 2, 3, 4]


async def test_a_subscription_selects_by_the_beginning_of_the_first_part(context: Any) -> None:
    async with opened(zmq_mode="PUB") as output:
        with context.socket(zmq.SUB) as taker:
            taker.linger = 0
            taker.subscribe(b"XX.")
            taker.connect(output.address)
            await connected(output)
            await output.deliver(
                [Multipart([topic, b"{}"], 8, index) for index, topic in enumerate([b"YY.A", b"XX.A"])]
            )
            assert await received(taker, 1) == [[b"XX.A", b"{}"]]
            taker.unsubscribe(b"XX.")
            await until(lambda: not peers(output)[0]["topics"])
            await output.deliver([Multipart([b"XX.A"], 4, 2)])
            assert (output.status()["unheard"], output.status()["sent"]) == (2, 1)


@pytest.mark.parametrize(("zmq_mode", "kind"), [("PUSH", zmq.PULL), ("PUB", zmq.SUB)])
async def test_an_output_connects_to_a_consumer_that_binds_and_again_when_it_comes_back(
    context: Any, zmq_mode: str, kind: int
) -> None:
    with consumer(context, ANY, kind) as taker:
        address = taker.getsockopt_string(zmq.LAST_ENDPOINT)
        async with opened(zmq_mode=zmq_mode, address=address) as output:
            await connected(output, taker=taker)
            await output.deliver([frame(1)])
            assert numbers(await received(taker, 1)) == [1]
            taker.close()
            await until(lambda: output.status()["consumers"] == 0)
            await output.deliver([frame(2)])
            with consumer(context, address, kind, binds=True) as again:
                await connected(output, taker=again)
                await output.deliver([frame(3)])
                expected = [2, 3] if zmq_mode == "PUSH" else [3]
                assert numbers(await received(again, len(expected))) == expected


async def test_an_output_connects_by_ipc(context: Any, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/c"
    async with opened(address=address) as output:
        await output.deliver([frame(1)])
        with context.socket(zmq.PULL) as taker:
            taker.bind(address)
            assert numbers(await received(taker, 1)) == [1]


@pytest.mark.parametrize(
    ("policy", "kept", "dropped"), [(OLDEST, [7, 8, 9], 7), (NEWEST, [0, 1, 2], 7), (BLOCK, list(range(10)), 0)]
)
async def test_what_is_too_much_is_dropped_by_the_policy_and_counted(
    context: Any, policy: OverflowPolicy, kept: list[int], dropped: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(overflow=policy, buffer_size=3) as output:
        await output.deliver([frame(index) for index in range(10)])
        assert (output.status()["waiting"], output.status()["dropped"]) == (len(kept), dropped)
        with consumer(context, output.address) as taker:
            assert numbers(await received(taker, len(kept))) == kept
        await until(lambda: output.status()["waiting"] == 0)
    logged = [line for line in caplog.messages if "drop" in line]
    assert len(logged) == (2 if dropped else 0)
    if dropped:
        assert logged[0].startswith(f"no consumer is connected to {output.address}: 3 frames wait, 0.0 MB; dropping")
        assert logged[1].startswith("consumers keep up again: dropped 7 frames in")


async def test_bytes_are_limited_too_and_a_frame_above_the_limit_still_passes(context: Any) -> None:
    async with opened(buffer_mb=1.0) as output:
        await output.deliver([frame(index, bytes(400_000)) for index in range(5)])
        assert (output.status()["waiting"], output.status()["dropped"]) == (2, 3)
        await output.deliver([frame(5, bytes(1_500_000))])
        assert (output.status()["waiting"], output.status()["dropped"]) == (1, 5)
        assert output.status()["waiting_mb"] == pytest.approx(1.5, abs=0.01)
        with consumer(context, output.address) as taker:
            assert numbers(await received(taker, 1)) == [5]


async def test_an_output_that_blocks_takes_no_more_until_there_is_room(context: Any) -> None:
    async with opened(overflow=BLOCK, buffer_size=2) as output:
        assert output.try_deliver([frame(0), frame(1)])
        assert not output.try_deliver([frame(2)])
        delivering = asyncio.ensure_future(output.deliver([frame(2)]))
        with consumer(context, output.address) as taker:
            assert numbers(await received(taker, 3)) == [0, 1, 2]
        await delivering
        assert output.status()["dropped"] == 0


async def test_what_an_output_that_blocks_cannot_take_at_a_stop_is_counted() -> None:
    async with opened(overflow=BLOCK, buffer_size=2) as output:
        await output.deliver([frame(0), frame(1)])
        delivering = asyncio.ensure_future(output.deliver([frame(2)]))
        await asyncio.sleep(0)
        delivering.cancel()
        await asyncio.wait([delivering])
    assert (output.status()["discarded_at_stop"], output.status()["waiting"]) == (3, 0)


async def test_a_slow_subscriber_loses_frames_and_the_others_do_not(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    large, count = bytes(1_000_000), 60
    async with opened(zmq_mode="PUB", buffer_mb=20.0) as output:
        with consumer(context, output.address, zmq.SUB) as quick, context.socket(zmq.SUB) as stuck:
            stuck.linger, stuck.rcvhwm = 0, 1
            stuck.subscribe(b"")
            stuck.connect(output.address)
            await connected(output, 2)
            for index in range(count):
                await output.deliver([frame(index, large)])
                assert numbers(await received(quick, 1)) == [index]
            shown: Any = output.status()
            slow = max(peers(output), key=lambda each: each["dropped"])
            assert (shown["selected"], shown["dropped"]) == (count, 0)
            assert slow["dropped"] == shown["dropped_for_some"] > 0
            assert slow["waiting"] * 1.0 <= 11
            assert shown["sent"] + shown["waiting"] == count
            got = numbers(await received(stuck, count - slow["dropped"]))
            assert got == sorted(set(got))
            await until(lambda: output.status()["waiting"] == 0)
        await until(lambda: output.status()["consumers"] == 0)
    logged = [line for line in caplog.messages if slow["address"] in line and "drop" in line]
    assert len(logged) >= 2
    assert "does not keep up" in logged[0]
    assert "dropped" in logged[-1]


async def test_a_consumer_that_dies_leaves_what_it_did_not_take_to_another(context: Any) -> None:
    large = bytes(1_000_000)
    async with opened(buffer_mb=100.0) as output:
        dying = _RawPuller(output.address)
        await until(lambda: output.status()["consumers"] == 1)
        await output.deliver([frame(index, large) for index in range(30)])
        left = int(str(output.status()["waiting"]))
        assert left > 0
        dying.close()
        await until(lambda: output.status()["consumers"] == 0)
        assert output.status()["waiting"] == left
        with consumer(context, output.address) as taker:
            assert numbers(await received(taker, left)) == list(range(30 - left, 30))


class _RawPuller:
    """A PULL socket that says hello and reads nothing."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.sendall(ZmtpPeer(SocketType.PULL).data_to_send())

    def close(self) -> None:
        self._socket.close()


async def test_a_subscriber_that_goes_away_loses_what_waited_for_it(context: Any) -> None:
    async with opened(zmq_mode="PUB", buffer_mb=100.0) as output:
        dying = context.socket(zmq.SUB)
        dying.rcvhwm = 1
        dying.subscribe(b"")
        dying.connect(output.address)
        await connected(output)
        await output.deliver([frame(index, bytes(1_000_000)) for index in range(40)])
        assert output.status()["waiting"]
        dying.close(linger=0)
        await until(lambda: output.status()["consumers"] == 0)
        shown = output.status()
        assert (shown["waiting"], shown["dropped"]) == (0, 40 - int(str(shown["sent"])))


async def test_strangers_are_turned_away_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as output:
        host, _, port = output.address.removeprefix("tcp://").rpartition(":")
        for _ in range(3):
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                stranger.setblocking(False)
                with pytest.raises((ConnectionResetError, BlockingIOError)):
                    await until(lambda: not stranger.recv(1))
        subscriber = _RawSubscriber(host, int(port))
        await until(lambda: any("cannot talk with PUSH" in line for line in caplog.messages))
        subscriber.close()
    assert sum("it is no consumer" in line for line in caplog.messages) >= 2


class _RawSubscriber(_RawPuller):
    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.sendall(ZmtpPeer(SocketType.SUB).data_to_send())


async def test_packets_go_out_as_our_own_messages_by_their_numbers(context: Any) -> None:
    run = PacketRun(STREAM, [0, 10**9], 100.0, np.arange(200, dtype="<i4").reshape(2, 100), sequence=4)
    async with opened(parameter=2) as output:
        with consumer(context, output.address) as taker:
            await connected(output)
            await output.deliver([packet(0, sequence=2), packet(1, sequence=3), run])
            first, second = [decode(message) for message in await received(taker, 2)]
            assert (first.sequence, second.sequence, second.samples.tolist()) == (2, 4, list(range(100)))
            assert output.status()["skipped"] == 2


async def test_plain_bytes_have_no_number_and_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as output:
        await output.deliver([b"x"] * 3)
        assert (output.status()["refused"], output.status()["selected"]) == (3, 0)
    assert sum("no frame number" in line for line in caplog.messages) == 2


async def test_a_port_that_is_taken_is_an_error_with_the_remedy() -> None:
    async with opened() as output:
        port = int(output.address.rpartition(":")[2])
        other = RepeaterPublisher(Mode.EVERY_NTH, 1, port)
        with pytest.raises(ComponentError, match=rf"127.0.0.1:{port}.*another program uses it"):
            await other.open()
        await other.aclose()


async def test_an_output_can_be_opened_again_and_counts_anew(context: Any) -> None:
    async with opened() as output:
        await output.deliver([frame(0)])
        await output.aclose()
        assert output.status()["discarded_at_stop"] == 1
        await output.open()
        assert output.status()["selected"] == 0
        with consumer(context, output.address) as taker:
            await output.deliver([frame(1)])
            assert numbers(await received(taker, 1)) == [1]


GOOD: dict[str, Any] = {"send_output_mode": "strides", "send_output_param": 3, "port": 9610}


@pytest.mark.parametrize(
    ("given_options", "text"),
    [
        ({"send_output_param": 0}, "send_output_param 0 is not a whole number of at least 1"),
        ({"send_output_mode": "send_every_nth_frame", "send_output_param": 16}, "the original had the two exchanged"),
        ({"address": "tcp://127.0.0.1:9"}, "either port"),
        ({"port": None}, "either port"),
        ({"port": None, "address": "tcp://*:9610"}, "is not the address of a consumer"),
        ({"port": None, "address": "tcp://[::1]:0"}, "is not the address of a consumer"),
        ({"port": None, "address": "tcp://300.1.1.1:9610"}, "is no host name or address"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given_options: dict[str, Any], text: str) -> None:
    given_options = {key: value for key, value in (GOOD | given_options).items() if value is not None}
    options, mistakes = read_options(RepeaterPublisher, given_options, Path())
    assert mistakes == []
    assert text in (RepeaterPublisher.check_options(options) or "")
    with pytest.raises(InvalidValue, match=text.replace("(", r"\(")):
        RepeaterPublisher(**options)


@pytest.mark.parametrize(
    ("given_options", "key"),
    [
        ({"send_output_mode": "sometimes"}, "send_output_mode"),
        ({"send_output_param": "3"}, "send_output_param"),
        ({"zmq_mode": "SUB"}, "zmq_mode"),
        ({"zmq_mode": True}, "zmq_mode"),
        ({"port": 70_000}, "port"),
        ({"origin": "last"}, "origin"),
        ({"header": "hdf5"}, "header"),
    ],
)
def test_each_wrong_option_is_named(given_options: dict[str, Any], key: str) -> None:
    _, mistakes = read_options(RepeaterPublisher, GOOD | given_options, Path())
    assert [mistake.where[0] for mistake in mistakes][:1] == [key]


def test_an_address_is_for_one_output_alone() -> None:
    options = read_options(RepeaterPublisher, GOOD, Path())[0]
    assert RepeaterPublisher.check_options(options) is None
    assert RepeaterPublisher.exclusive(options) == "tcp://127.0.0.1:9610"
    assert RepeaterPublisher.exclusive(options | {"port": 0}) is None
    assert RepeaterPublisher.exclusive(options | {"port": None, "address": "tcp://a:1"}) is None


@settings(max_examples=30)
@given(
    st.lists(
        st.sampled_from([(Mode.EVERY_NTH, 2), (Mode.STRIDES, 2), (Mode.STRIDES, 5), (Mode.EVERY_NTH_FRAME, 3)]),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(0, 100), max_size=40),
)
def test_outputs_do_not_influence_each_other(rules: list[tuple[Mode, int]], given_numbers: list[int]) -> None:
    def selected(rules: list[tuple[Mode, int]]) -> list[list[object]]:
        outputs = [RepeaterPublisher(mode, parameter, 1) for mode, parameter in rules]
        counts: list[list[object]] = []
        for each in given_numbers:
            for output in outputs:
                output.try_deliver([frame(each)])
            counts.append([output.status()["selected"] for output in outputs])
        return counts

    async def compare() -> None:
        together = selected(rules)
        alone = [selected([rule]) for rule in rules]
        assert together == [[counts[at][0] for counts in alone] for at in range(len(given_numbers))]

    asyncio.run(compare())


async def test_a_lone_frame_leaves_in_the_same_turn_of_the_loop(context: Any) -> None:
    async with opened() as output:
        with consumer(context, output.address) as taker:
            await connected(output)
            output.try_deliver([frame(1)])
            assert output.status()["sent"] == 1
            assert number((await received(taker, 1))[0]) == 1


def test_a_frame_is_json_of_its_own_size() -> None:
    made = frame(3)
    assert made.size_bytes == len(made.parts[0]) + 12
    assert json.loads(bytes(made.parts[0]))["frame"] == 3
