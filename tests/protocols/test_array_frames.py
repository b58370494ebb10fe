"""Frames that are passed on: their number is read from each header form, or they are refused with the reason."""

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.array import (
    BinaryHeader,
    HeaderForm,
    HeaderMissing,
    NumberMissing,
    decode,
    encode_header,
    read_frame_header,
)
from rawdaq.protocols.message_errors import HeaderUnreadable, MessageMalformed

CAMERA = (
    b'{"frame":41,"htype":["array-1.0"],"type":"uint16","shape":[2,3],"endianess":"little","source":"bench",'
    b'"tags":["0"],"image_attributes":{"image_number":41,"image_is_complete":true}}'
)
BINARY = bytes.fromhex(
    "0100000000000000 0100000000000000 0000000000000000 0000000000000000 209c0b0000000000 0200000000000000"
    "0000000000000000"
)


@pytest.mark.parametrize("form", [HeaderForm.FILE, HeaderForm.GF])
@pytest.mark.parametrize(
    ("parts", "header_part", "frame"),
    [
        ([CAMERA, bytes(12)], 0, 41),
        ([b'{"frame":41}'], 0, 41),
        ([b'{"frame":2.0}'], 0, 2),
        ([memoryview(b'{"frame":0}'), b"", b"", b"more"], 0, 0),
        ([b"XX.DEMO..HHZ", b'{"frame":7}', b""], 1, 7),
        ([b'{"frame":%d}' % (1 << 70)], 0, 1 << 70),
    ],
)
def test_the_number_of_a_json_header(form: HeaderForm, parts: list[Any], header_part: int, frame: int) -> None:
    header = read_frame_header(parts, form, header_part)
    assert header.frame == frame
    assert header.keys is not None


def test_the_number_of_a_binary_header() -> None:
    assert read_frame_header([BINARY, b""], HeaderForm.BINARY) == (1, None)
    assert BinaryHeader.decode(BINARY) == BinaryHeader(1, shape=760_864)
    assert BinaryHeader(1, shape=760_864).encode() == BINARY
    assert len(BINARY) == 56


@pytest.mark.parametrize(
    ("parts", "form", "header_part", "error", "text"),
    [
        ([], HeaderForm.FILE, 0, HeaderMissing, "message of 0 parts, the header is part 0"),
        ([CAMERA], HeaderForm.GF, 1, HeaderMissing, "message of 1 parts, the header is part 1"),
        ([b"\xff"], HeaderForm.FILE, 0, HeaderUnreadable, "header of 1 bytes: not JSON"),
        ([b"{"], HeaderForm.FILE, 0, HeaderUnreadable, "header of 1 bytes: not JSON"),
        ([b"[" * 100_000], HeaderForm.FILE, 0, HeaderUnreadable, "not JSON"),
        ([b"[1]"], HeaderForm.FILE, 0, HeaderUnreadable, "not a JSON object"),
        ([b" " * (1 << 20) + b" "], HeaderForm.FILE, 0, HeaderUnreadable, "limit is 1048576"),
        ([BINARY[:-1]], HeaderForm.BINARY, 0, HeaderUnreadable, "TestMetadata has 56"),
        ([b"{}"], HeaderForm.FILE, 0, NumberMissing, "is missing, not a whole number of at least 0"),
        ([b'{"frame":true}'], HeaderForm.FILE, 0, NumberMissing, "is True"),
        ([b'{"frame":1.5}'], HeaderForm.FILE, 0, NumberMissing, "is 1.5"),
        ([b'{"frame":1e999}'], HeaderForm.FILE, 0, NumberMissing, "is inf"),
        ([b'{"frame":"1"}'], HeaderForm.FILE, 0, NumberMissing, "is '1'"),
        ([b'{"frame":-1}'], HeaderForm.FILE, 0, NumberMissing, "is -1"),
        ([b'{"frame":"' + b"x" * 200 + b'"}'], HeaderForm.FILE, 0, NumberMissing, "…"),
    ],
)
def test_what_is_refused_carries_its_reason(
    parts: list[bytes], form: HeaderForm, header_part: int, error: type[MessageMalformed], text: str
) -> None:
    with pytest.raises(error) as caught:
        read_frame_header(parts, form, header_part)
    assert text in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from(HeaderForm), st.integers(0, 2))
def test_any_bytes_are_a_frame_or_refused(parts: list[bytes], form: HeaderForm, header_part: int) -> None:
    try:
        assert read_frame_header(parts, form, header_part).frame >= 0
    except MessageMalformed:
        pass


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "u1", "<i4", ">f8"])
def test_a_header_that_we_write_is_read_back(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    header = encode_header(41, array, source="bench")
    message = decode([header, array.tobytes()])
    assert (message.array.tolist(), message.frame) == (array.tolist(), 41)
    assert json.loads(header)["source"] == "bench"
    assert read_frame_header([header]).frame == 41
