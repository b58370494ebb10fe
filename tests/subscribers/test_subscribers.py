"""ssdaq's subscribers: what a publisher sends, by thread and by event loop, until the end and not beyond."""

import asyncio
import logging
import queue
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest
import zmq
import zmq.asyncio

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.subscribers import AsyncSubscriber, BasicSubscriber
from rawdaq.subscribers.aio import loop_of_this_thread
from tests.helpers import free_port, until, wait_for


class Publisher:
    """A PUB socket that knows when it has a subscriber."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def wait(self) -> None:
        assert self.socket.poll(30_000)
        assert self.socket.recv() == b"\1"

    async def until_subscribed(self) -> None:
        await until(lambda: self.socket.poll(0))
        assert self.socket.recv() == b"\1"

    def send(self, *messages: bytes) -> None:
        for each in messages:
            self.socket.send(each)


@pytest.fixture
def publisher() -> Generator[Publisher]:
    with zmq.Context() as context:
        made = Publisher(context)
        yield made
        context.destroy(linger=0)


@pytest.fixture
def start(publisher: Publisher) -> Generator[Callable[..., BasicSubscriber]]:
    """Start subscribers that are closed at the end of the test."""
    started: list[BasicSubscriber] = []

    def start(**options: Any) -> BasicSubscriber:
        subscriber = BasicSubscriber("127.0.0.1", publisher.port, **options)
        started.append(subscriber)
        subscriber.start()
        publisher.wait()
        return subscriber

    yield start
    for subscriber in started:
        subscriber.close()
        subscriber.join(30)
        assert not subscriber.is_alive()


Start = Callable[..., BasicSubscriber]


def test_what_is_published_is_got_in_order(publisher: Publisher, start: Start) -> None:
    subscriber = start()
    publisher.send(b"1", b"2")
    publisher.socket.send_multipart([b"topic", b"data"])
    assert [subscriber.get_data(timeout=30) for _ in range(3)] == [b"1", b"2", [b"topic", b"data"]]
    assert (subscriber.empty(), subscriber.received, subscriber.dropped) == (True, 3, 0)
    with pytest.raises(queue.Empty):
        subscriber.get_data(block=False)
    with pytest.raises(queue.Empty):
        subscriber.get_data(timeout=0)


def test_the_documented_example_of_ssdaq_runs_with_its_import_changed(publisher: Publisher) -> None:
    from rawdaq.subscribers import BasicSubscriber

    sub = BasicSubscriber(port=publisher.port, ip="127.0.0.1")
    sub.start()
    publisher.wait()
    publisher.send(b"one", b"two", b"last")
    found: list[bytes] = []
    while True:
        data = sub.get_data()
        if data is None:
            break
        found.append(data)
        if data == b"last":
            sub.close()
    sub.join(30)
    assert found == [b"one", b"two", b"last"]


def test_bad_messages_between_good_ones_are_skipped_and_counted(
    publisher: Publisher, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def unpack(data: bytes) -> int | None:
        return None if data == b"none" else int(data)

    subscriber = start(unpack=unpack)
    for number in range(100):
        publisher.send(b"%d" % number, b"bad", b"none")
    assert [subscriber.get_data(timeout=30) for _ in range(100)] == [*range(100)]
    wait_for(lambda: subscriber.malformed == 200)
    assert len(caplog.records) == 1
    assert "1 messages are skipped (ValueError" in caplog.text


def test_the_end_comes_once_after_all_that_waits(publisher: Publisher, start: Start) -> None:
    subscriber = start()
    publisher.send(b"1", b"2", b"3")
    wait_for(lambda: subscriber.received == 3)
    subscriber.close(hard=False)
    assert [subscriber.get_data(timeout=30) for _ in range(4)] == [b"1", b"2", b"3", None]
    with pytest.raises(queue.Empty):
        subscriber.get_data()


def test_a_hard_close_discards_what_waits(publisher: Publisher, start: Start) -> None:
    subscriber = start()
    publisher.send(b"1", b"2", b"3")
    wait_for(lambda: subscriber.received == 3)
    subscriber.close()
    subscriber.close()
    assert subscriber.get_data(timeout=30) is None


def test_a_close_wakes_a_program_that_waits(start: Start) -> None:
    subscriber = start()
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(subscriber.get_data()))
    waiting.start()
    subscriber.close(hard=False)
    waiting.join(30)
    assert got == [None]


def test_a_close_before_the_start_and_while_unpacking_is_fine(publisher: Publisher) -> None:
    early = BasicSubscriber("127.0.0.1", publisher.port)
    early.close(hard=False)
    assert early.get_data() is None
    early.start()
    early.join(30)

    def unpack(data: bytes) -> bytes:
        inside.close(hard=False)
        return data

    inside = BasicSubscriber("127.0.0.1", publisher.port, unpack)
    inside.start()
    publisher.wait()
    publisher.send(b"1")
    assert [inside.get_data(timeout=30) for _ in range(2)] == [b"1", None]
    inside.join(30)


def test_nothing_comes_after_a_hard_close_that_finds_an_object_unpacked(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, goes_on, late = threading.Event(), threading.Event(), list[object]()

    def unpack(data: bytes) -> bytes:
        inside.close()
        closed.set()
        goes_on.wait(30)
        return data

    inside = BasicSubscriber("127.0.0.1", publisher.port, unpack)
    monkeypatch.setattr(inside._inbox, "put", late.append)
    inside.start()
    publisher.wait()
    publisher.send(b"1")
    assert closed.wait(30)
    assert inside.get_data(timeout=30) is None
    goes_on.set()
    inside.join(30)
    assert late == []


def test_the_queue_is_bounded_and_drops_are_counted(
    publisher: Publisher, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    subscriber = start(max_messages=10)
    publisher.send(*(b"%d" % number for number in range(100)))
    wait_for(lambda: subscriber.dropped == 90)
    assert [subscriber.get_data() for _ in range(10)] == [b"%d" % number for number in range(90, 100)]
    assert caplog.text.count("the oldest are dropped") == 1
    with pytest.raises(InvalidValue, match="max_messages"):
        BasicSubscriber("127.0.0.1", 1, max_messages=0)


def test_an_address_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="port 70000"):
        BasicSubscriber("127.0.0.1", 70000).start()
    with socket.create_server(("0.0.0.0", 0)) as taken, pytest.raises(ComponentError, match="in use"):
        BasicSubscriber("0.0.0.0", taken.getsockname()[1]).start()


def test_publishers_can_connect_to_a_bound_subscriber(publisher: Publisher) -> None:
    port = free_port()
    subscriber = BasicSubscriber("0.0.0.0", port)
    subscriber.start()
    publisher.socket.connect(f"tcp://127.0.0.1:{port}")
    publisher.wait()
    publisher.send(b"1")
    assert subscriber.get_data(timeout=30) == b"1"
    subscriber.close()
    subscriber.join(30)


# --- the same in an event loop


async def test_an_event_loop_gets_what_is_published_until_the_end(publisher: Publisher) -> None:
    context = zmq.asyncio.Context()  # what ssdaq's programs have
    subscriber = AsyncSubscriber("127.0.0.1", publisher.port, zmqcontext=context, name="Sub")
    await publisher.until_subscribed()
    waiting = asyncio.create_task(subscriber.get_data())
    await asyncio.sleep(0)
    publisher.send(b"1", b"2", b"3")
    assert [await waiting, await subscriber.get_data()] == [b"1", b"2"]
    await until(lambda: subscriber.received == 3)
    assert not subscriber.empty()
    await subscriber.close(hard=False)
    await subscriber.close(hard=False)
    assert [await subscriber.get_data(), await subscriber.get_data()] == [b"3", None]
    with pytest.raises(asyncio.QueueEmpty):
        await subscriber.get_data()
    context.term()


async def test_a_busy_publisher_does_not_stop_the_loop_and_nothing_is_lost(publisher: Publisher) -> None:
    subscriber = AsyncSubscriber("127.0.0.1", publisher.port, int)
    await publisher.until_subscribed()
    publisher.send(*(b"%d" % number if number % 2 else b"bad" for number in range(5000)))
    assert [await subscriber.get_data() for _ in range(2500)] == [*range(1, 5000, 2)]
    assert (subscriber.malformed, subscriber.dropped) == (2500, 0)
    waiting = asyncio.create_task(subscriber.get_data())
    await asyncio.sleep(0)
    await subscriber.close()
    assert await waiting is None


async def test_a_callback_gets_objects_and_may_fail_and_close(
    publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []

    def callback(found: bytes) -> None:
        got.append(found)
        if found == b"bad":
            raise ValueError("a mistake of the program")
        if found == b"end":
            tasks.append(asyncio.create_task(subscriber.close()))

    subscriber = AsyncSubscriber("127.0.0.1", publisher.port, passoff_callback=callback)
    await publisher.until_subscribed()
    publisher.send(b"1", b"bad", b"2", b"bad", b"end")
    assert await subscriber.get_data() is None
    await tasks[0]
    assert got == [b"1", b"bad", b"2", b"bad", b"end"]
    assert caplog.text.count("ValueError: a mistake of the program") == 1


def test_the_example_of_ssdaq_for_loops_runs_with_its_import_changed(publisher: Publisher) -> None:
    from rawdaq.subscribers import AsyncSubscriber

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    sub = AsyncSubscriber(ip="127.0.0.1", port=publisher.port)
    found: list[Any] = []

    async def print_data(loop: asyncio.AbstractEventLoop, sub: AsyncSubscriber) -> None:
        running = True
        while running:
            data = await sub.get_data()
            found.append(data)
            if data == b"last":
                await sub.close()
            if data is None:
                running = False
                close = loop.create_task(sub.close())
                close.add_done_callback(lambda _: loop.stop())

    loop.create_task(print_data(loop, sub))  # noqa: RUF006 - as in the example

    def send() -> None:
        publisher.wait()
        publisher.send(b"one", b"last")

    sending = threading.Thread(target=send)
    sending.start()
    loop.run_forever()
    sending.join()
    loop.close()
    asyncio.set_event_loop(None)
    assert found == [b"one", b"last", None]


def test_a_thread_without_a_loop_gets_one() -> None:
    found: list[asyncio.AbstractEventLoop] = []

    def look() -> None:
        found.append(loop_of_this_thread())
        found.append(loop_of_this_thread())
        found[0].close()

    looking = threading.Thread(target=look)
    looking.start()
    looking.join()
    assert found[0] is found[1]


def test_logs_go_where_the_program_wants_them(publisher: Publisher) -> None:
    log = logging.getLogger("rawdaq.test.subscriber")
    assert BasicSubscriber("127.0.0.1", publisher.port, logger=log).log is log
