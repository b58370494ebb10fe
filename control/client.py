"""Sends one command to one running component and returns its answer."""

import errno
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import zmq

from rawdaq.errors import CommandError, NoAnswer, RemoteProtocolError
from rawdaq.protocols.command import Result, decode_reply, encode_request

_RECONNECT_MS = 20  # a component that is starting binds its socket any moment now


@contextmanager
def call(address: str, command: str, args: Sequence[str] = ()) -> Generator[Callable[[float], list[bytes] | None]]:
    """Send *command*, which waits until the component listens, and yield a function that waits for the reply.

    The function takes a timeout in seconds and returns the frames of the reply, None when there is none by then.
    """
    frames = encode_request(command, args)
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.connect(address)
        socket.send_multipart(frames)
        yield lambda timeout_s: socket.recv_multipart() if socket.poll(round(timeout_s * 1000)) else None


def send(component: str, address: str, command: str, args: Sequence[str] = (), timeout_s: float = 5.0) -> Result:
    """Return the answer of *component* to *command*.

    Args:
        component: its name in messages.
        address: its command socket.
        command: the name of the command.
        args: the arguments of the command.
        timeout_s: how long it may take.

    Raises:
        CommandError: it refused, or the answer is not a component's.
        NoAnswer: it did not answer in time.
    """
    try:
        with call(address, command, args) as wait:
            frames = wait(timeout_s)
    except zmq.ZMQError as error:
        reason = errno.errorcode.get(error.errno or 0, "")
        raise CommandError(f"{component} cannot be asked at {address}: {error.strerror} {reason}".rstrip()) from error
    if frames is None:
        raise NoAnswer(
            f"{component} did not answer {command!r} within {timeout_s:g} s; "
            f"its log may say why: control-rawdaq logs {component}"
        )
    try:
        return decode_reply(frames)
    except RemoteProtocolError as error:
        raise CommandError(f"{component} sent an invalid reply: {error}; is its rawdaq of another version?") from error
    except CommandError as error:
        raise CommandError(f"{component}: {error}") from error
