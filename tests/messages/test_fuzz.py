"""Whatever comes as a message: a value, or the one error that says what is wrong with it."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rawdaq.messages.frames import decode, encode
from rawdaq.messages.log import LogRecord
from rawdaq.messages.message import Kind, Message
from rawdaq.messages.monitor import ComponentReport
from rawdaq.messages.values import ReadoutArray, ReceivedEvent, Telemetry
from rawdaq.protocols.message_errors import MessageMalformed

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "rawdaq kind frame received_ns component name host pid file line exception level message time_ns state data "
    "packets_per_s data_packets_per_s problems gaps latency_s since_ns type ps device_ns counter missed backwards "
    "fields values units htype shape encoding slots expected number epoch reason scale offset late"
).split()
GOOD: dict[str, Any] = {
    "name": "n",
    "message": "m",
    "htype": "array-1.0",
    "type": "float32",
    "shape": [1, 2],
    "slots": [0],
}
headers = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6).map(lambda given: GOOD | given)
topics = st.sampled_from([f"~{kind}{name}" for kind in Kind for name in ("", ".XX.DEMO.T")])


@settings(max_examples=100)
@given(topics, headers, st.sampled_from([b"", bytes(8), b"abc"]))
def test_any_header_is_a_value_or_the_error_that_says_why(topic: str, header: dict[str, Any], payload: bytes) -> None:
    message = Message(topic, header, payload)
    for read in (LogRecord, ComponentReport, ReceivedEvent, Telemetry, ReadoutArray):
        with contextlib.suppress(MessageMalformed):
            value = read.from_message(decode(encode(message.published(0, "T", 5))))
            assert isinstance(value, read)
    with contextlib.suppress(MessageMalformed):
        decode([topic.encode(), json.dumps(header).encode(), payload])


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"~log", b"~event.XX", b"{}"]), max_size=4))
def test_any_frames_are_a_message_or_the_error_that_says_why(frames: list[bytes]) -> None:
    with contextlib.suppress(MessageMalformed):
        assert decode(frames).topic == frames[0].decode()
