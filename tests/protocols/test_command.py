import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import CommandError, LocalProtocolError, RemoteProtocolError
from rawdaq.protocols import command
from rawdaq.protocols.command import (
    MAX_MESSAGE_BYTES,
    MessageTooLarge,
    Request,
    decode_reply,
    decode_request,
    encode_error,
    encode_reply,
    encode_request,
)

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@pytest.mark.parametrize(
    ("frames", "request_"),
    [
        ([b'{"command":"ping","args":[]}'], Request("ping", [])),
        ([b'{"command":"log_level","args":["DEBUG"]}'], Request("log_level", ["DEBUG"])),
    ],
)
def test_request_and_frames_are_the_same_thing(frames: list[bytes], request_: Request) -> None:
    assert encode_request(*request_) == frames
    assert decode_request(frames) == request_


@pytest.mark.parametrize(
    ("frames", "result"),
    [
        ([b'{"result":null}'], None),
        ([b'{"result":"pong"}'], "pong"),
        ([b'{"result":{"a":[1,2.5,true]}}'], {"a": [1, 2.5, True]}),
        ([b'{"bytes":0}', b""], b""),
        ([b'{"bytes":3}', b"\x00\x01\x02"], b"\x00\x01\x02"),
    ],
)
def test_reply_and_frames_are_the_same_thing(frames: list[bytes], result: Any) -> None:
    assert encode_reply(result) == frames
    assert decode_reply(frames) == result


def test_an_error_arrives_as_the_error_that_it_is() -> None:
    assert encode_error("no such command") == [b'{"error":"no such command"}']
    with pytest.raises(CommandError, match=r"^no such command$"):
        decode_reply(encode_error("no such command"))


def test_a_very_long_error_is_cut() -> None:
    with pytest.raises(CommandError) as caught:
        decode_reply(encode_error("x" * MAX_MESSAGE_BYTES))
    assert len(str(caught.value)) == 10_000


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"ping"],
        [b"\xff"],
        [b"[]"],
        [b'{"command":"ping"}'],
        [b'{"command":1,"args":[]}'],
        [b'{"command":"ping","args":"x"}'],
        [b'{"command":"ping","args":[1]}'],
        [b'{"command":"ping","args":[],"more":1}'],
        [b'{"command":"ping","args":[]}', b""],
        [b"[" * 100_000],
        [b"1" * 10_000],
    ],
)
def test_what_is_no_request_is_the_peers_fault(frames: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_request(frames)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"{}"],
        [b'{"result":NaN}'],
        [b'{"result":1,"error":"x"}'],
        [b'{"result":1}', b""],
        [b'{"error":1}'],
        [b'{"error":"x"}', b""],
        [b'{"error":"x","more":1}'],
        [b'{"bytes":3}'],
        [b'{"bytes":3}', b"ab"],
        [b'{"bytes":3,"more":1}', b"abc"],
        [b'{"bytes":"3"}', b"abc"],
        [b'{"bytes":1}', b"a", b""],
    ],
)
def test_what_is_no_reply_is_the_peers_fault(frames: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_reply(frames)


@pytest.mark.parametrize("decode", [decode_request, decode_reply])
def test_a_message_has_a_limit(decode: Any) -> None:
    with pytest.raises(MessageTooLarge, match=f"message of {MAX_MESSAGE_BYTES + 1} bytes, limit is") as caught:
        decode([b" " * MAX_MESSAGE_BYTES, b" "])
    assert pickle.loads(pickle.dumps(caught.value)).size_bytes == MAX_MESSAGE_BYTES + 1


@pytest.mark.parametrize("result", [b"x" * MAX_MESSAGE_BYTES, "x" * MAX_MESSAGE_BYTES, object(), float("nan"), {1j: 0}])
def test_a_result_that_cannot_be_said_is_refused_here(result: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode_reply(result)


def test_a_result_inside_itself_is_refused_here() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(LocalProtocolError):
        encode_reply(endless)


def test_the_largest_bytes_arrive() -> None:
    data = bytes(MAX_MESSAGE_BYTES - 64)
    assert decode_reply(encode_reply(data)) == data


@given(st.text(), st.lists(st.text()))
def test_every_request_arrives_as_it_was(word: str, args: list[str]) -> None:
    assert decode_request(encode_request(word, args)) == Request(word, args)


@given(_JSON | st.binary())
def test_every_result_arrives_as_it_was(result: Any) -> None:
    assert decode_reply(encode_reply(result)) == result


@given(st.lists(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()), max_size=3))
def test_no_frames_whatsoever_raise_anything_else(frames: list[bytes]) -> None:
    for decode in (command.decode_request, command.decode_reply):
        try:
            decode(frames)
        except (RemoteProtocolError, CommandError):
            pass
