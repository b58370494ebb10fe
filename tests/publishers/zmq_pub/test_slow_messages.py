"""A subscriber that is too slow for messages: what the publisher counts as dropped is what jumps of ``frame`` show."""

from rawdaq.messages.frames import decode
from rawdaq.messages.order import FrameOrder
from tests.helpers import until
from tests.live import publishing, subscribed
from tests.makers import message
from tests.publishers.zmq_subscribers import SlowSubscriber


async def test_jumps_of_frame_are_the_drops_that_the_publisher_counts() -> None:
    topic = message().topic
    async with publishing(high_water_mb=0.2) as publisher:
        with SlowSubscriber(publisher, b"~event") as slow:
            await slow.subscribe()
            await subscribed(publisher)
            sent = 0
            while publisher.status()["dropped"] == 0:  # it does not read
                await publisher.deliver([message(sent, payload=bytes(10_000)).published(sent, "T", 5)])
                sent += 1
            for _ in range(20):
                await publisher.deliver([message(sent, payload=bytes(10_000)).published(sent, "T", 5)])
                sent += 1
            expected: int = publisher.status()["sent"]  # type: ignore[assignment]
            await until(lambda: slow.read() and len(slow.messages) == expected)
            await publisher.deliver([message(sent).published(sent, "T", 5)])
            await until(lambda: slow.read() and len(slow.messages) == expected + 1)
            dropped = publisher.status()["dropped_by_stream"]
    order = FrameOrder()
    for each in slow.messages:
        order.missing("publisher", decode(each.frames))
    assert order.lost == dropped
    assert order.lost[topic] > 0
    assert sent + 1 == len(slow.messages) + order.lost[topic]
