"""What a receiver publishes that is no waveform: completed, numbered by topic, counted, chosen in a station file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rawdaq import config, station
from rawdaq.config import ConfigError
from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Kind, Message
from rawdaq.streams import topics
from rawdaq.streams.topics import Topics
from tests.helpers import until
from tests.makers import message, packet
from tests.servers import Idle, Keeper, serving


class MessageKeeper(Keeper):
    takes_messages = True

    async def deliver(self, batch: Sequence[Any]) -> None:
        self.kept += batch


async def test_messages_are_numbered_by_topic_and_told_apart_from_packets() -> None:
    keeper, waveforms = MessageKeeper(), Keeper()
    async with serving(server := Idle([keeper, waveforms])):
        await server.publish(message(0))
        await server.publish([message(1), message(2, "~log"), message(3)])
        await server.publish(packet())
        server.publish_now([message(4, "~log")], server.endpoints[0] if server.endpoints else None)  # type: ignore[arg-type]
        await until(lambda: len(keeper.kept) == 6)
        status: Any = server.cmd_status()
    kept: list[Any] = [each for each in keeper.kept if isinstance(each, Message)]
    assert [(each.header["index"], each.frame, each.component) for each in kept] == [
        (0, 0, "Idle"),
        (1, 1, "Idle"),
        (2, 0, "Idle"),
        (3, 2, "Idle"),
        (4, 1, "Idle"),
    ]
    assert all(each.received_ns > 0 for each in kept)
    assert waveforms.kept == [packet()]
    assert [status["topics"][topic]["messages"] for topic in ("~event.XX.DEMO.Triggers", "~log")] == [3, 2]
    assert 0 <= status["topics"]["~log"]["age_s"] < 60
    assert [each["passed_over"] for each in status["publishers"].values()] == [0, 5]
    assert status["receiver"].get("messages") is None  # those are plain bytes


async def test_a_header_that_cannot_be_json_is_the_receivers_error_and_publishes_nothing() -> None:
    async with serving(server := Idle([keeper := MessageKeeper()])):
        with pytest.raises(InvalidValue, match="bytes"):
            await server.publish([message(0), message(1, wrong=b"bytes")])
        await server.publish(message(2))
        await until(lambda: keeper.kept)
        assert server.topics.report()["~event.XX.DEMO.Triggers"]["messages"] == 1  # type: ignore[index]
    (kept,) = keeper.kept
    assert isinstance(kept, Message)
    assert kept.frame == 0


def test_numbers_of_messages_that_were_lost_before_are_left_out() -> None:
    counted = Topics("T", lambda: 7)
    counted.numbered([message(0)])
    counted.skip(message().topic, 5)
    (made,) = counted.numbered([message(1)])
    assert made.frame == 6
    assert counted.report() == {
        message().topic: {
            "age_s": 0.0,
            "messages": 2,
            "bytes": made.size_bytes * 2,
            "frame": 6,
            "skipped": 5,
            "last": "1970-01-01T00:00:00.000000Z",
        }
    }


def test_the_number_of_topics_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "MAX_TOPICS", 1)
    counted = Topics("T")
    assert [counted.admits(topic) for topic in ("~log", "~log", "~monitor")] == [True, True, False]


FILE = """\
station: {{network: XX, code: DEMO}}
Relay:
  Receiver: {{class: ZMQReceiver, endpoints: ["tcp://127.0.0.1:9004"]}}
  Publishers:
    one: {{class: {publisher}, kinds: {kinds}}}
"""


def written(folder: Path, publisher: str, kinds: str) -> Path:
    path = folder / "station.yaml"
    path.write_text(FILE.format(publisher=publisher, kinds=kinds))
    return path


def test_the_station_file_chooses_kinds(tmp_path: Path) -> None:
    (component,) = config.load(written(tmp_path, "RawWriter, path: raw", "[event, log]")).components
    (publisher,) = station.build(component).publishers
    assert publisher.kinds == [Kind.EVENT, Kind.LOG]


@pytest.mark.parametrize(
    ("publisher", "kinds", "told"),
    [
        ("RawWriter, path: raw", "[events]", "'events' is wrong"),
        ("RawWriter, path: raw", "event", "kinds"),
        (
            "MiniSeedPublisher, path: archive",
            "[event]",
            "selects messages, and MiniSeedPublisher takes none",
        ),
    ],
)
def test_kinds_that_cannot_be_are_told(tmp_path: Path, publisher: str, kinds: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.load(written(tmp_path, publisher, kinds))
    assert told in str(error.value)
    assert "kinds" in str(error.value)
