"""Arrays become packets of the streams that the station file says, with times of their header or of their arrival."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.packet import Packet
from rawdaq.protocols.message_errors import HeaderValueWrong
from rawdaq.receivers.zmq_in.arrays import ArraySettings, ArrayStreams
from rawdaq.stream_id import StreamId
from tests.makers import START_NS

STATION = StationSettings(network="XX", code="DEMO", location="00")
S = 10**9


def made(**settings: Any) -> ArrayStreams:
    whole: dict[str, Any] = {"stream": "HHZ", "rate_hz": 100.0, **settings}
    return ArrayStreams(ArraySettings(**whole), STATION)


def frames(array: np.ndarray[Any, Any], frame: int | None = None, **header: Any) -> list[bytes]:
    fields = {"htype": "array-1.0", "type": array.dtype.name, "shape": list(array.shape), "frame": frame, **header}
    return [json.dumps(fields).encode(), array.tobytes()]


TEN = np.arange(10, dtype="<i4")


def starts(
    streams: ArrayStreams, *arrivals: tuple[int | None, float], array: np.ndarray[Any, Any] = TEN
) -> list[float]:
    """Return when the packets begin, in seconds, of messages with frame numbers that arrive at seconds."""
    packets: list[Packet] = []
    for frame, at_s in arrivals:
        packets += streams.packets(frames(array, frame), START_NS + round(at_s * S))
    return [(packet.start_ns - START_NS) / S for packet in packets]


def test_an_array_with_a_time_is_a_packet() -> None:
    streams = made(stream="10.HHN", time_key="t", time_unit="us")
    (packet,) = streams.packets(frames(np.arange(3, dtype="<u2"), t=START_NS // 1000), 77)
    assert packet == Packet(
        StreamId("XX", "DEMO", "10", "HHN"), START_NS, 100.0, np.arange(3, dtype="int32"), received_ns=77
    )


@pytest.mark.parametrize("array", [np.arange(6, dtype="<i4").reshape(2, 3), np.asfortranarray(np.ones((5, 3), "<f4"))])
def test_each_column_is_a_stream(array: np.ndarray[Any, Any]) -> None:
    streams = made(stream=["YY.OTHER..HHZ", "HHN", ".HHE"], time_key="t")
    packets = streams.packets(frames(array, t=START_NS), 0)
    assert [str(packet.stream) for packet in packets] == ["YY.OTHER..HHZ", "XX.DEMO.00.HHN", "XX.DEMO..HHE"]
    assert [packet.samples.tolist() for packet in packets] == array.T.tolist()
    assert all(packet.samples.flags.c_contiguous for packet in packets)


def test_one_sample_of_each_stream_is_an_array_of_one_row() -> None:
    packets = made(stream=["HHZ", "HHN"], time_key="t").packets(frames(np.array([5, 6], "<i4"), t=START_NS), 0)
    assert [packet.samples.tolist() for packet in packets] == [[5], [6]]
    (packet,) = made(time_key="t").packets(frames(np.array(7, "<i4"), t=START_NS), 0)
    assert packet.samples.tolist() == [7]
    (packet,) = made(time_key="t").packets(frames(np.array([[7], [8]], "<i4"), t=START_NS), 0)
    assert packet.samples.tolist() == [7, 8]


def test_an_empty_array_is_no_packet() -> None:
    assert made(time_key="t").packets(frames(np.empty(0, "<i4"), t=START_NS), 0) == []


@pytest.mark.parametrize(
    ("stream", "shape", "rule"),
    [
        ("HHZ", (512, 1024), "[samples], or [samples, 1]"),
        ("HHZ", (2, 2, 1), "[samples], or [samples, 1]"),
        (["HHZ", "HHN"], (4, 3), "[samples, 2], a column for each stream"),
        (["HHZ", "HHN"], (4,), "[samples, 2], a column for each stream"),
        (["HHZ", "HHN"], (), "[samples, 2], a column for each stream"),
    ],
)
def test_an_image_is_refused(stream: Any, shape: tuple[int, ...], rule: str) -> None:
    with pytest.raises(HeaderValueWrong) as caught:
        made(stream=stream, time_key="t").packets(frames(np.zeros(shape, "<u2"), t=START_NS), 0)
    assert rule in str(caught.value)


def test_a_missing_time_is_told_and_not_replaced() -> None:
    with pytest.raises(HeaderValueWrong, match="'t' is missing"):
        made(time_key="t").packets(frames(TEN), 0)


def test_without_a_time_samples_are_counted_from_the_first_arrival_however_unevenly_they_arrive() -> None:
    arrivals = [(0, 0.1), (1, 0.2), (2, 0.7), (3, 0.71), (4, 0.3)]
    assert starts(made(), *arrivals) == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_the_count_never_accumulates_an_error() -> None:
    streams = made(rate_hz=300.0)
    packets = [
        packet
        for index in range(301)
        for packet in streams.packets(frames(np.zeros(1, "<i4"), index), START_NS + index * S // 300)
    ]
    assert packets[300].start_ns - packets[0].start_ns == S


def test_lost_messages_are_counted_and_are_a_gap_of_their_length() -> None:
    streams = made()
    assert starts(streams, (7, 0.1), (8, 0.2), (11, 0.5)) == [0.0, 0.1, 0.4]
    assert streams.lost == 2


def test_where_count_and_arrival_part_the_count_begins_anew() -> None:
    assert starts(made(resync_s=2.0), (None, 0.1), (None, 2.1), (None, 2.2)) == pytest.approx([0.0, 0.1, 0.2])
    assert starts(made(resync_s=2.0), (None, 0.1), (None, 12.1), (None, 12.2)) == pytest.approx([0.0, 12.0, 12.1])


def test_a_sender_that_starts_again_has_lost_nothing() -> None:
    streams = made()
    assert starts(streams, (100, 0.1), (0, 0.2), (1, 0.3), (None, 0.4), (9, 0.5)) == pytest.approx(
        [0.0, 0.1, 0.2, 0.3, 0.4]
    )
    assert streams.lost == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"stream": "hhz"}, "not NET.STA.LOC.CHA or \\[location.\\]channel"),
        ({"stream": []}, "at least one stream"),
        ({"stream": ["HHZ", "XX.DEMO.HHZ.00"]}, "not NET.STA.LOC.CHA"),
        ({"rate_hz": 0.0}, "greater than"),
        ({"time_key": ""}, "at least 1 character"),
        ({"time_unit": "h"}, "'s', 'ms', 'us' or 'ns'"),
        ({"resync_s": 0.0}, "greater than 0"),
        ({"shape": [1]}, "not permitted"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        made(**settings)


def test_one_stream_twice_is_told() -> None:
    with pytest.raises(InvalidValue, match="two columns of `array` cannot be one stream"):
        made(stream=["HHZ", "XX.DEMO.00.HHZ"])
