import errno
import os
import socket

import pytest

from rawdaq.sockets.remedies import cannot_listen, cannot_open_zmq, cause, why_not_connected


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (None, "the other side closed the connection"),
        (TimeoutError(), "no answer within 10 s"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved (Name or service not known)"),
        (UnicodeError("label too long"), "the host name is invalid (label too long)"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to it"),
        (OSError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (OSError("Multiple exceptions"), "Multiple exceptions"),
        (ValueError("what the codec raised"), "what the codec raised"),
    ],
)
def test_a_failure_is_reported_in_an_operators_words(failure: Exception | None, words: str) -> None:
    assert words in why_not_connected(failure, 10.0)


def test_privileged_ports_have_their_own_remedy() -> None:
    error = cannot_listen("TCP 127.0.0.1:80", PermissionError(errno.EACCES, "Permission denied"))
    assert str(error) == (
        "cannot listen on TCP 127.0.0.1:80: Permission denied; ports below 1024 need privileges: take a higher one"
    )


def test_the_sentence_of_asyncio_is_left_out() -> None:
    error = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 80): in use")
    assert cause(error) == os.strerror(errno.EADDRINUSE)
    assert cause(socket.gaierror(-2, "Name or service not known")) == "Name or service not known"


def test_what_is_not_in_the_table_has_a_remedy_too() -> None:
    assert str(cannot_open_zmq("bind", "tcp://x:1", OSError(9999, "strange"))) == (
        "cannot bind ZMQ tcp://x:1: strange; see that the address exists and may be used"
    )
