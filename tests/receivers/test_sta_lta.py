"""StaLtaTrigger finds events in what other components publish, and tells their begin and end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zmq

from rawdaq import config
from rawdaq.packet import Packet
from rawdaq.protocols.message import encode
from rawdaq.receivers.sta_lta import StaLtaTrigger
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S, sample_time
from tests.event_receivers import options_of, problems, receiving
from tests.helpers import until
from tests.makers import START_NS
from tests.receivers.zmq_senders import address_of, sending, subscribed

OPTIONS: dict[str, Any] = {"sta_s": 0.1, "lta_s": 2.0, "on": 5.0, "off": 1.5}


def waveform(station: str, seed: int, length: int = 50) -> list[Packet]:
    """Return 20 s with an event after 10 s."""
    samples = np.random.default_rng(seed).normal(0, 100, 2000)
    samples[1000 : 1000 + length] *= 30
    stream, values = StreamId("XX", station, "", "HHZ"), np.rint(samples).astype("<i4")
    return [
        Packet(stream, sample_time(START_NS, at, 100.0), 100.0, values[at : at + 100], sequence=at // 100)
        for at in range(0, 2000, 100)
    ]


async def test_events_of_live_streams_are_published_with_begin_end_and_coincidence(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        options = OPTIONS | {"endpoints": [address_of(publisher)], "coincidence": {"count": 2, "within_s": 1}}
        async with receiving(StaLtaTrigger, name="Trigger", **options) as (receiver, keeper):
            await subscribed(publisher)
            for one, two in zip(waveform("A", 1), waveform("B", 2), strict=True):
                publisher.send_multipart(encode(one))
                publisher.send_multipart(encode(two))
            await until(lambda: len(keeper.messages) == 5)
            status: Any = receiver.receiver_status()
    assert [each["type"] for each in keeper.headers] == ["on", "off", "on", "coincidence", "off"]
    assert {each.topic for each in keeper.messages} == {"~event.XX.DEMO.Trigger"}
    first, off, _, both, _ = keeper.headers
    assert first["fields"]["stream"] == "XX.A..HHZ"
    assert (first["time_ns"] - START_NS) / NS_PER_S == pytest.approx(10.0, abs=0.1)
    assert first["fields"]["ratio"] > 5
    assert sorted(both["fields"]["streams"]) == ["XX.A..HHZ", "XX.B..HHZ"]
    assert both["time_ns"] == min(both["fields"]["onsets_ns"])
    assert (off["fields"]["on_ns"], off["fields"]["reason"]) == (first["time_ns"], "ratio")
    assert off["fields"]["maximum"] > first["fields"]["ratio"]
    assert status["trigger"]["events"] == {"on": 2, "off": 2, "coincidence": 1}


async def test_only_the_named_streams_are_subscribed_and_nonsense_is_counted(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        options = OPTIONS | {"endpoints": [address_of(publisher)], "streams": ["XX.A.*"]}
        async with receiving(StaLtaTrigger, **options) as (receiver, keeper):
            await subscribed(publisher)
            publisher.send_multipart([b"XX.A..HHZ", b"{", b""])
            for one, two in zip(waveform("A", 1), waveform("B", 2), strict=True):
                publisher.send_multipart(encode(two))
                publisher.send_multipart(encode(one))
            await until(lambda: len(keeper.messages) == 2)
            status: Any = receiver.receiver_status()
    assert (status["refused"], status["trigger"]["streams"]) == (1, 1)


async def test_an_event_that_is_on_at_the_stop_is_ended(context: Any) -> None:
    with sending(context, zmq.XPUB) as publisher:
        async with receiving(StaLtaTrigger, endpoints=[address_of(publisher)], **OPTIONS) as (_, keeper):
            await subscribed(publisher)
            for each in waveform("A", 1, length=900)[:11]:
                publisher.send_multipart(encode(each))
            await until(lambda: keeper.messages)
    on, off = keeper.headers
    assert (on["type"], off["type"], off["fields"]["reason"]) == ("on", "off", "stop")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sta_s": 40.0}, "sta_s 40 is not below lta_s 30"),
        ({"on": 1.0}, "off 1.5 is above on 1"),
        ({"band": [8.0, 1.0]}, "band [8.0, 1.0] is not a lower and an upper frequency"),
        ({"band": [1.0]}, "band"),
        ({"streams": ["HHZ"]}, "'HHZ' can name no stream"),
        ({"endpoints": ["tcp://*:1"]}, "tcp://*:1 is where others can connect to"),
        ({"endpoints": []}, "endpoints"),
        ({"coincidence": {"count": 1, "within_s": 1}}, "coincidence.count"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], text: str) -> None:
    assert text in problems(StaLtaTrigger, **({"endpoints": ["tcp://a:1"]} | options))


def test_on_and_off_need_no_quotes_in_a_station_file(tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    receiver = "{class: StaLtaTrigger, endpoints: ['tcp://192.0.2.7:9004'], on: 5, off: 2}"
    file.write_text(f"station: {{network: XX, code: DEMO}}\nTrigger:\n  Receiver: {receiver}\n")
    assert list(yaml.safe_load(receiver))[-1] is False  # that is how YAML reads it
    (component,) = config.load(file).components
    assert (component.receiver.options["on"], component.receiver.options["off"]) == (5, 2)
    assert options_of(StaLtaTrigger, endpoints=["tcp://a:1"])["on"] == 4.0
