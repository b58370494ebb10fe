"""The block `Trigger` of a station file: events of a component's own streams, beside its waveforms."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq import config, station
from rawdaq.config import ConfigError
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time
from tests.event_receivers import EventKeeper, serving
from tests.helpers import until
from tests.makers import START_NS

FILE = """
station: {{network: XX, code: DEMO, location: "00"}}
Main:
  Receiver: {{class: RawReceiver, channels: {{1: HHZ, 2: HHN}}}}
  Trigger: {trigger}
"""
TRIGGER = "{sta_s: 0.1, lta_s: 2, on: 5, off: 1.5, streams: ['*.HHZ'], coincidence: {count: 2, within_s: 1}}"


def settings(tmp_path: Path, trigger: str = TRIGGER) -> Any:
    file = tmp_path / "station.yaml"
    file.write_text(FILE.format(trigger=trigger))
    (component,) = config.load(file).components
    return component


def packets(channel: str, length: int = 50) -> list[Packet]:
    samples = np.random.default_rng(1).normal(0, 100, 2000)
    samples[1000 : 1000 + length] *= 30
    stream, values = StreamId("XX", "DEMO", "00", channel), np.rint(samples).astype("<i4")
    return [
        Packet(stream, sample_time(START_NS, at, 100.0), 100.0, values[at : at + 100]) for at in range(0, 2000, 100)
    ]


async def test_events_are_published_beside_the_waveforms_and_ended_at_the_stop(tmp_path: Path) -> None:
    receiver: Any = station.build(settings(tmp_path))
    receiver.publishers.append(keeper := EventKeeper())
    receiver._fanout = type(receiver._fanout)(receiver.publishers, receiver.log)
    async with serving(receiver):
        await receiver.publish([*packets("HHZ"), *packets("HHN")])
        await until(lambda: len(keeper.messages) == 2)
        status = receiver.cmd_status()
        later = [each.shifted(10**12) for each in packets("HHZ", 900)[:11]]
        await receiver.publish(later)
        await asyncio.sleep(0)
    assert [(each["type"], each["fields"].get("reason")) for each in keeper.headers] == [
        ("on", None),
        ("off", "ratio"),
        ("on", None),
        ("off", "stop"),
    ]
    assert {message.topic for message in keeper.messages} == {"~event.XX.DEMO.Main"}
    assert {each["fields"]["stream"] for each in keeper.headers} == {"XX.DEMO.00.HHZ"}
    assert len(keeper.packets) == 51
    assert status["trigger"]["events"] == {"on": 1, "off": 1, "coincidence": 0}


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        ("{sta_s: 5, lta_s: 1}", "sta_s 5 is not below lta_s 1"),
        ("{onn: 5}", "unknown key; did you mean 'on'"),
        ("{streams: ['*.EHZ']}", "selects none of XX.DEMO.00.HHZ, XX.DEMO.00.HHN"),
        ("{coincidence: {count: 1, within_s: 1}}", "Main.Trigger.coincidence.count"),
    ],
)
def test_what_a_trigger_cannot_be_is_a_problem_of_the_file(tmp_path: Path, trigger: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        settings(tmp_path, trigger)


def test_a_component_without_the_block_has_no_trigger(tmp_path: Path) -> None:
    component = settings(tmp_path, "")
    assert component.trigger is None
    receiver: Any = station.build(component)
    assert "trigger" not in receiver.cmd_status()
