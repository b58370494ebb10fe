"""Array messages: what detectors send is read as it is, or refused with the number that is wrong."""

import json
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.array import ArrayFramesWrong, TimeUnit, decode, time_in
from rawdaq.protocols.message import encode
from rawdaq.protocols.message_errors import HeaderUnreadable, HeaderValueWrong, MessageMalformed, SampleBytesWrong
from rawdaq.times import from_iso
from tests.makers import packet

NOW_NS = from_iso("2026-11-21T00:00:00.5Z")


def frames(array: np.ndarray[Any, Any], **header: Any) -> list[bytes]:
    """Return a message of *array* whose header has, or with None lacks, what is given."""
    whole = {"htype": "array-1.0", "type": array.dtype.name, "shape": list(array.shape), "frame": 3} | header
    return [json.dumps({key: value for key, value in whole.items() if value is not None}).encode(), array.tobytes()]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        *((kind, kind) for kind in ("int8", "int16", "int32", "float32", "float64")),
        ("uint8", "int16"),
        ("uint16", "int32"),
        ("uint32", "float64"),
    ],
)
def test_every_type_keeps_its_values(sent: str, kept: str) -> None:
    low, high = (-1.5, 1.5) if sent.startswith("float") else (np.iinfo(sent).min, np.iinfo(sent).max)
    for order in "<", ">":
        array = np.array([[low, 0, high]], np.dtype(sent).newbyteorder(order))
        message = decode(frames(array, encoding="little" if order == "<" else "big"))
        assert message.array.tolist() == array.tolist()
        assert message.array.dtype.newbyteorder("=") == np.dtype(kept)
        assert not message.array.flags.writeable
        assert (message.array.shape, message.frame, message.header["htype"]) == ((1, 3), 3, "array-1.0")


def test_what_a_header_may_leave_out_or_say_otherwise() -> None:
    array = np.arange(4, dtype="<i4")
    plain = decode(frames(array, frame=None, htype=["array-1.0"]))
    assert (plain.array.tolist(), plain.frame) == ([0, 1, 2, 3], None)
    assert decode(frames(array.astype(">i4"), endianess="big")).array.tolist() == [0, 1, 2, 3]
    assert decode([b"topic", *frames(array)]).array.tolist() == [0, 1, 2, 3]
    assert decode(frames(np.array(5, "<i4"))).array.tolist() == 5
    assert decode(frames(np.empty((0, 3), "<i4"))).array.shape == (0, 3)


def test_our_own_message_is_an_array_too() -> None:
    sent = packet(sequence=9)
    message = decode(encode(sent))
    assert (message.array.tolist(), message.frame) == (sent.samples.tolist(), 9)


ARRAY = np.arange(4, dtype="<i4")
WRONG: dict[str, tuple[list[bytes], type[MessageMalformed], str]] = {
    "one frame": ([b"{}"], ArrayFramesWrong, "message of 1 frames, not 2"),
    "no JSON": ([b"{", b""], HeaderUnreadable, "not JSON"),
    "no object": ([b"[]", b""], HeaderUnreadable, "not a JSON object"),
    "nested": ([b"[" * 60_000, b""], HeaderUnreadable, "not JSON"),
    "large header": ([b" " * 70_000, b""], HeaderUnreadable, "limit is 65536"),
    "other kind": (frames(ARRAY, htype="bsr_m-1.1"), HeaderValueWrong, "'htype' is 'bsr_m-1.1'"),
    "no kind": (frames(ARRAY, htype=None), HeaderValueWrong, "'htype' is missing"),
    "no type": (frames(ARRAY, type=None), HeaderValueWrong, "'type' is missing"),
    "complex": (frames(ARRAY, type="complex64"), HeaderValueWrong, "'type' is 'complex64'"),
    "a type that is a list": (frames(ARRAY, type=["int32"]), HeaderValueWrong, "'type' is ['int32']"),
    "long integers": (frames(ARRAY, type="int64"), HeaderValueWrong, "'type' is 'int64'"),
    "compressed": (frames(ARRAY, encoding="bslz4<"), HeaderValueWrong, "compressed arrays are not read"),
    "an encoding that is a number": (frames(ARRAY, encoding=1), HeaderValueWrong, "'encoding' is 1"),
    "no shape": (frames(ARRAY, shape=None), HeaderValueWrong, "'shape' is missing"),
    "a shape that is a word": (frames(ARRAY, shape="[4]"), HeaderValueWrong, "not a list of sizes"),
    "a negative size": (frames(ARRAY, shape=[-4]), HeaderValueWrong, "not a list of sizes"),
    "half a size": (frames(ARRAY, shape=[4.0]), HeaderValueWrong, "not a list of sizes"),
    "true": (frames(ARRAY, shape=[True, 4]), HeaderValueWrong, "not a list of sizes"),
    "many dimensions": (frames(ARRAY, shape=[1] * 33), HeaderValueWrong, "not a list of sizes"),
    "endless": (frames(ARRAY, shape=[0, 1 << 40, 2]), HeaderValueWrong, "at most"),
    "other size": (frames(ARRAY, shape=[5]), SampleBytesWrong, "16 bytes, the header announces 20"),
    "a frame that is a word": (frames(ARRAY, frame="3"), HeaderValueWrong, "'frame' is '3'"),
    "a long value": (frames(ARRAY, frame="3" * 1000), HeaderValueWrong, "3…, not"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_numbers(name: str) -> None:
    message, kind, words = WRONG[name]
    with pytest.raises(kind) as caught:
        decode(message)
    assert words in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["htype", "type", "shape", "encoding", "frame"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.sampled_from(["array-1.0", "int8", "uint32", "little", "big"]),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
    ),
    st.binary(max_size=16),
)
def test_no_header_whatever_breaks_it(header: dict[str, Any], data: bytes) -> None:
    try:
        decode([json.dumps({"htype": "array-1.0", "type": "int8"} | header).encode(), data])
    except MessageMalformed:
        pass


@pytest.mark.parametrize(
    ("value", "unit", "time_ns"),
    [
        (NOW_NS, TimeUnit.NS, NOW_NS),
        (NOW_NS // 1000, TimeUnit.US, NOW_NS),
        (NOW_NS // 1_000_000, TimeUnit.MS, NOW_NS),
        (NOW_NS // 10**9, TimeUnit.S, NOW_NS - 500_000_000),
        (NOW_NS / 1e9, TimeUnit.S, NOW_NS),
        (NOW_NS / 1e6, TimeUnit.MS, NOW_NS),
        ("2026-11-21T00:00:00.5Z", TimeUnit.S, NOW_NS),
        ({"sec": NOW_NS // 10**9, "ns": 500_000_000, "more": 1}, TimeUnit.S, NOW_NS),
    ],
)
def test_times_in_a_header(value: Any, unit: TimeUnit, time_ns: int) -> None:
    assert time_in({"t": value}, "t", unit) == time_ns


@pytest.mark.parametrize(
    "value", [None, True, "now", [1], {"sec": 1.5, "ns": 0}, {}, float("nan"), float("inf"), -(10**19), sys.maxsize]
)
def test_what_is_no_time_is_said(value: Any) -> None:
    with pytest.raises(HeaderValueWrong, match="not a time \\(a number of s, ISO 8601 text, or sec and ns\\)"):
        time_in({"t": value}, "t", TimeUnit.S)
