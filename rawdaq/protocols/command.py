r"""Commands to a running component and their answers, as zmq frames.

A request is one frame of JSON. A reply is one frame, and a second one when the result is bytes::

    {"command": "log_level", "args": ["DEBUG"]}
    {"result": {"level": "DEBUG"}}
    {"bytes": 3}  b"\x00\x01\x02"
    {"error": "log level 'LOUD' is not one of DEBUG, INFO, WARNING, ERROR"}

The transport keeps messages apart, so these are functions of whole messages; nothing is ever incomplete.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, TypeAlias

from rawdaq.errors import CommandError, LocalProtocolError, RemoteProtocolError, error_text

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | dict[str, JsonValue] | None"
Result: TypeAlias = "bytes | JsonValue"

#: All frames of a message together. Commands are words of people; a status of a thousand streams is 300 kB.
MAX_MESSAGE_BYTES = 1 << 20


@error_text(f"message of {{size_bytes}} bytes, limit is {MAX_MESSAGE_BYTES}")
class MessageTooLarge(RemoteProtocolError):
    """The peer sent more than a message may have."""

    size_bytes: int


class Request(NamedTuple):
    """A request to a component."""

    command: str
    args: list[str]


def encode_request(command: str, args: Sequence[str] = ()) -> list[bytes]:
    """Return the frames that ask for *command*.

    Raises:
        LocalProtocolError: the request is too large.
    """
    return [_encode({"command": command, "args": list(args)})]


def decode_request(frames: Sequence[bytes]) -> Request:
    """Return what *frames* ask for.

    Raises:
        RemoteProtocolError: they are no request.
    """
    _check_size(frames)
    if len(frames) != 1:
        raise RemoteProtocolError(f"a request is one frame, not {len(frames)}")
    match _decode(frames[0]):
        case {"command": str() as command, "args": list() as args, **rest} if not rest:
            words = [word for word in args if isinstance(word, str)]
            if len(words) == len(args):
                return Request(command, words)
        case _:
            pass
    raise RemoteProtocolError('a request is {"command": text, "args": [text, ...]}')


def encode_reply(result: Result) -> list[bytes]:
    """Return the frames that answer with *result*.

    Raises:
        LocalProtocolError: the result is too large, or is nothing that JSON can say.
    """
    if isinstance(result, bytes):
        if len(result) > MAX_MESSAGE_BYTES - 64:  # room for the first frame
            raise LocalProtocolError(f"a result of {len(result)} bytes is too large, limit is {MAX_MESSAGE_BYTES - 64}")
        return [_encode({"bytes": len(result)}), result]
    return [_encode({"result": result})]


def encode_error(text: str) -> list[bytes]:
    """Return the frames that answer that the command failed, and why; a very long *text* is cut."""
    return [_encode({"error": text[:10_000]})]


def decode_reply(frames: Sequence[bytes]) -> Result:
    """Return the result that *frames* carry.

    Raises:
        CommandError: the component says that the command failed; its text is the component's.
        RemoteProtocolError: the frames are no reply.
    """
    _check_size(frames)
    match (_decode(frames[0]) if frames else None), frames[1:]:
        case {"result": result, **rest}, [] if not rest:
            return result
        case {"bytes": int() as size, **rest}, [data] if not rest and size == len(data):
            return data
        case {"error": str() as text, **rest}, [] if not rest:
            raise CommandError(text)
        case _:
            raise RemoteProtocolError("a reply is a result, an error, or bytes in a second frame")


def _check_size(frames: Sequence[bytes]) -> None:
    size_bytes = sum(map(len, frames))
    if size_bytes > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(size_bytes)


def _encode(value: dict[str, JsonValue]) -> bytes:
    try:
        frame = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"JSON cannot say this: {error}") from error
    if len(frame) > MAX_MESSAGE_BYTES:
        raise LocalProtocolError(f"a message of {len(frame)} bytes is too large, limit is {MAX_MESSAGE_BYTES}")
    return frame


def _decode(frame: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(frame.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"a frame is not JSON: {error}") from error
    return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
