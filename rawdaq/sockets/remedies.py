"""Why a socket cannot be opened or connected, in the words of an operator: the cause, and what to do."""

import errno
import os
import socket
from collections.abc import Mapping
from typing import Final

from rawdaq.errors import ComponentError
from rawdaq.open_files import REMEDY

_LISTENING: Final = {
    errno.EADDRINUSE: "another program uses it (`ss -lntup`, `ss -lx` show which): stop it, or take another port",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address: take one that has, or 0.0.0.0 (or ::) for all",
    errno.EACCES: "ports below 1024 need privileges: take a higher one",
    errno.EMFILE: f"{REMEDY}, or let fewer components share the process",
    errno.ENODEV: "there is no such interface: `ip link` lists those that there are",
}
_ZMQ: Final = _LISTENING | {
    errno.EADDRNOTAVAIL: "no interface of this machine has that address: take one that has, or * for all",
    errno.ENODEV: "no interface of this machine has that name or address: take one that has, or * for all",
    errno.EACCES: "a folder that this user may write to is needed, or a port from 1024 on",
    errno.ENOENT: "the folder of an ipc address must exist: create it",
    errno.EINVAL: "an address looks like tcp://127.0.0.1:9004 or ipc:///run/rawdaq/live",
    errno.ENAMETOOLONG: "the path of an ipc address may have about 100 characters: take a shorter one",
}
_DIALLING: Final = {
    errno.ECONNREFUSED: "nothing listens there: is the other side on, and are host and port right?",
    errno.EHOSTUNREACH: "no route to it: is the network up?",
    errno.ENETUNREACH: "no route to it: is the network up?",
    errno.ECONNRESET: "the other side reset the connection",
    errno.ETIMEDOUT: "the other side no longer answers",
    errno.EMFILE: f"this process has no open file left: {REMEDY}",
}


def cannot_listen(address: str, error: OSError) -> ComponentError:
    """Return the error of a socket that cannot be bound to *address*, such as ``TCP 127.0.0.1:80``."""
    return _refusal(
        f"cannot listen on {address}",
        error,
        _LISTENING,
        "give an address, and an interface, of this machine (`ip address` lists them)",
    )


def cannot_open_zmq(verb: str, address: str, error: OSError) -> ComponentError:
    """Return the error of a ZMQ socket that cannot *verb* (bind, connect) to *address*."""
    return _refusal(f"cannot {verb} ZMQ {address}", error, _ZMQ, "see that the address exists and may be used")


def _refusal(what: str, error: OSError, remedies: Mapping[int, str], otherwise: str) -> ComponentError:
    return ComponentError(f"{what}: {cause(error)}; {remedies.get(error.errno or 0, otherwise)}")


def cause(error: OSError) -> str:
    """Return the system's words for *error*; asyncio wraps them into a sentence that repeats the address."""
    is_of_system = error.errno in errno.errorcode and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno or 0) if is_of_system else error.strerror or str(error)


def why_not_connected(failure: Exception | None, timeout_s: float) -> str:
    """Return why there is no connection (any more), with the remedy where there is one.

    Args:
        failure: what ended the attempt or the connection; None: the other side closed it.
        timeout_s: how long an attempt may take.
    """
    if failure is None:
        return "the other side closed the connection"
    if isinstance(failure, TimeoutError) and failure.errno is None:
        return f"no answer within {timeout_s:g} s: is the other side on and reachable?"
    if isinstance(failure, UnicodeError):
        return f"the host name is invalid ({failure.__cause__ or failure})"
    if isinstance(failure, socket.gaierror):
        return f"the host name cannot be resolved ({failure.strerror})"
    if isinstance(failure, OSError):
        return _DIALLING.get(failure.errno or 0, failure.strerror or str(failure))
    return str(failure)
