"""A message is two or three ZMQ frames; what is none is refused with the reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.messages.frames import decode, encode
from rawdaq.messages.message import MAX_HEADER_BYTES, Kind, Message
from rawdaq.protocols.message_errors import MessageMalformed
from tests.makers import message

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    # surrogates are no text of UTF-8
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=6,
)
keys = st.text("abcxyz_", min_size=1, max_size=6).filter(lambda key: key != "kind")


@given(
    st.sampled_from(list(Kind)),
    st.sampled_from(["", ".XX.DEMO.Name"]),
    st.dictionaries(keys, json_values, max_size=4),
    st.binary(max_size=20),
    st.integers(0, 2**63 - 1),
)
def test_frames_and_messages_are_the_same_thing(
    kind: Kind, name: str, header: dict[str, Any], payload: bytes, frame: int
) -> None:
    made = Message(f"~{kind}{name}", header, payload).published(frame, "Name", 5)
    frames = encode(made)
    assert len(frames) == (3 if payload else 2)
    assert decode(frames) == made
    assert decode([memoryview(each) for each in frames]) == made


def test_the_example_of_the_wire() -> None:
    assert encode(message(7, payload=b"\x01\x02").published(12, "Triggers", 5)) == [
        b"~event.XX.DEMO.Triggers",
        b'{"rawdaq":1,"kind":"event","frame":12,"received_ns":5,"component":"Triggers","index":7}',
        b"\x01\x02",
    ]


GOOD: dict[str, Any] = {"rawdaq": 1, "kind": "log", "frame": 0, "received_ns": 1, "component": "Logs"}


def test_unknown_keys_are_kept() -> None:
    assert decode([b"~log", json.dumps(GOOD | {"new": [1]}).encode()]).header["new"] == [1]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "0 frames"),
        ([b"~log"], "1 frames"),
        ([b"~log", b"{}", b"", b""], "4 frames"),
        ([b"~logs", b"{}"], "is none of"),
        ([b"XX.DEMO..HHZ", b"{}"], "is none of"),
        ([b"~event.\xff", b"{}"], "is none of"),
        ([b"~log", b"[]"], "not a JSON object"),
        ([b"~log", b"{" * 100_000], "not JSON"),
        ([b"~log", b" " * (MAX_HEADER_BYTES + 1)], "limit is"),
        ([b"~log", b"\xff"], "not JSON"),
    ],
)
def test_frames_that_are_no_message_are_refused(frames: list[bytes], reason: str) -> None:
    with pytest.raises(MessageMalformed, match=reason):
        decode(frames)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("rawdaq", 2, "update rawdaq"),
        ("rawdaq", 0, "'rawdaq' is 0"),
        ("rawdaq", True, "'rawdaq' is True"),
        ("rawdaq", None, "'rawdaq' is None"),
        ("kind", "event", "that of topic ~log"),
        ("kind", None, "that of topic ~log"),
        ("frame", -1, "'frame' is -1"),
        ("frame", 1.0, "'frame' is 1.0"),
        ("frame", 1 << 63, "'frame' is"),
        ("received_ns", "now", "'received_ns' is 'now'"),
        ("component", 5, "'component' is 5"),
        ("component", "x" * 257, "at most 256"),
    ],
)
def test_a_header_with_a_wrong_value_is_refused(key: str, value: Any, reason: str) -> None:
    with pytest.raises(MessageMalformed, match=reason):
        decode([b"~log", json.dumps(GOOD | {key: value}).encode()])


@pytest.mark.parametrize("key", list(GOOD))
def test_a_header_without_a_key_is_refused(key: str) -> None:
    header = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(MessageMalformed, match=f"'{key}' is missing"):
        decode([b"~log", json.dumps(header).encode()])
