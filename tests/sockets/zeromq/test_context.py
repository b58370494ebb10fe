import zmq

from rawdaq.receiver_server import ReceiverServer
from rawdaq.sockets.zeromq.context import ContextShare, context_of, large_context


def test_a_large_context_has_room_for_a_thousand_components() -> None:
    with large_context() as context:
        assert context.get(zmq.MAX_SOCKETS) > 10_000


async def test_one_server_has_room_for_thousands_of_endpoints() -> None:
    context = context_of(None)
    assert context.get(zmq.MAX_SOCKETS) > 10_000
    context.destroy(linger=0)


async def test_who_destroys_his_share_closes_his_own_sockets_and_nobody_elses() -> None:
    with large_context() as context:
        ours, theirs = ContextShare(context), ContextShare(context)
        closed, open_ = ours.socket(zmq.PULL), theirs.socket(zmq.REP)
        open_.bind("inproc://still-there")
        ours.destroy(linger=0)
        assert (closed.closed, open_.closed, context.closed) == (True, False, False)
        with context.socket(zmq.REQ) as asking:
            asking.connect("inproc://still-there")
            asking.send(b"?")
            assert await open_.recv() == b"?"
        theirs.destroy(linger=0)


class _Servers(ReceiverServer):
    """Have nothing but a context."""

    def contexts(self) -> object:
        return self._context


def test_servers_share_a_context_when_the_process_has_one() -> None:
    with large_context() as context:
        ReceiverServer.shared_context = context
        try:
            one, other = (_Servers("127.0.0.1", 0, [], "A").contexts() for _ in range(2))
        finally:
            ReceiverServer.shared_context = None
        assert isinstance(one, ContextShare)
        assert isinstance(other, ContextShare)
        assert one.underlying == other.underlying == context.underlying
