"""One ZMQ context for many servers: each context has two threads, and a process may have a thousand servers."""

from typing import Any, TypeVar

import zmq
import zmq.asyncio

C = TypeVar("C", bound="zmq.Context[Any]")


def large_context() -> "zmq.Context[zmq.Socket[bytes]]":
    """Return a context that can have as many sockets as ZMQ can count; by default that is 1023."""
    return _enlarged(zmq.Context())


def _enlarged(context: C) -> C:
    context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
    return context


class ContextShare(zmq.asyncio.Context):
    """A server's part of *shared*: `destroy` closes the sockets that were made here, and no others.

    Args:
        shared: a context that lives longer.
    """

    def term(self) -> None:
        """Leave the shared context as it is."""


def context_of(shared: "zmq.Context[Any] | None") -> zmq.asyncio.Context:
    """Return a server's own asyncio context: a part of *shared* where there is one."""
    return _enlarged(zmq.asyncio.Context()) if shared is None else ContextShare(shared)
