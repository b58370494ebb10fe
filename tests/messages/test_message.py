"""A message says what it is about in its topic, and its header is JSON whatever a receiver puts into it."""

import json
import pickle
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from rawdaq.errors import InvalidValue
from rawdaq.messages.message import MAX_HEADER_BYTES, Kind, Message, topic_of
from tests.makers import message


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("~log", Kind.LOG),
        ("~monitor", Kind.MONITOR),
        ("~readout.XX.ARRAY.Assembler", Kind.READOUT),
        ("~event.XX.DEMO.A.B", Kind.EVENT),
        ("~telemetry.XX.DEMO.SOH", Kind.TELEMETRY),
    ],
)
def test_the_topic_says_the_kind(topic: str, kind: Kind) -> None:
    assert Message(topic, {}).kind is kind


@pytest.mark.parametrize(
    "topic", ["", "~", "log", "~logs", "~log.", "~log x", "~event.é", "XX.DEMO..HHZ", f"~log.{'x' * 200}", "~log\n"]
)
def test_a_topic_that_cannot_be_is_refused(topic: str) -> None:
    with pytest.raises(InvalidValue, match="is none of ~readout"):
        Message(topic, {})


def test_a_topic_is_made_of_names() -> None:
    assert topic_of(Kind.READOUT, "XX.ARRAY", "Assembler") == "~readout.XX.ARRAY.Assembler"
    with pytest.raises(InvalidValue):
        topic_of(Kind.EVENT, "a name")


def test_publishing_completes_the_header_and_leaves_the_message_as_it_was() -> None:
    before = message(3, frame=99, rawdaq=9, kind="log")
    after = before.published(5, "Triggers", 17)
    assert after.header == {
        "rawdaq": 1,
        "kind": "event",
        "frame": 5,
        "received_ns": 17,
        "component": "Triggers",
        "index": 3,
    }
    assert (after.frame, after.component, after.received_ns) == (5, "Triggers", 17)
    assert before.header == {"index": 3, "frame": 99, "rawdaq": 9, "kind": "log"}
    new = message()
    assert (new.frame, new.component, new.received_ns) == (0, "", 0)


def test_one_that_is_passed_on_keeps_who_made_it_and_when_it_came() -> None:
    again = message().published(0, "First", 1).published(7, "Second", 2)
    assert (again.frame, again.component, again.received_ns) == (7, "First", 1)


def test_values_of_numpy_and_numbers_that_json_does_not_have_are_written() -> None:
    header = {
        "i": np.int64(-3),
        "f": np.float32(0.5),
        "a": np.array([1, 2], "<u2"),
        "none": float("nan"),
        "more": {"inf": np.float64("-inf"), "list": [1.5, float("inf"), np.array([np.nan, 1.0])]},
        "text": "grün",
        "mapping": MappingProxyType({"a": 1}),
    }
    assert json.loads(Message("~log", header).head) == {
        "i": -3,
        "f": 0.5,
        "a": [1, 2],
        "none": None,
        "more": {"inf": None, "list": [1.5, None, [None, 1.0]]},
        "text": "grün",
        "mapping": {"a": 1},
    }


def test_text_that_utf8_does_not_have_is_replaced() -> None:
    assert Message("~log", {"t": "a\ud800b"}).head == b'{"t":"a?b"}'


def nested() -> list[Any]:
    """Return lists in lists, deeper than JSON is written."""
    inner: list[Any] = []
    for _ in range(100_000):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"bytes", "bytes"), (object(), "object"), ("x" * MAX_HEADER_BYTES, "limit is"), (nested(), "recursion")],
)
def test_a_header_that_cannot_be_json_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        _ = Message("~log", {"key": value}).head


def test_a_message_is_a_value() -> None:
    one, same = (message(1, payload=b"abcd").published(2, "T", 3) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != message(2, payload=b"abcd").published(2, "T", 3)
    assert one != "text"
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(one).endswith("4 bytes)")
    assert one.size_bytes == len(one.head) + 4


def test_a_payload_is_flat_bytes_and_owned_where_it_was_a_view() -> None:
    samples = np.arange(6, dtype="<i2").reshape(2, 3)
    view = Message("~log", {}, samples.data)
    assert (len(view.payload), view.payload) == (12, samples.tobytes())
    samples[:] = 0
    assert view.payload == bytes(12)
    owned = view.owned()
    samples[:] = 1
    assert (owned.payload, owned.owned() is owned) == (bytes(12), True)
    assert Message("~log", {}, np.empty((0, 3)).data).payload == b""
