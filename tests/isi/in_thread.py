"""The ISI server of the tests in a thread of its own, for programs that wait."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator
from typing import NamedTuple

from tests.helpers import DEADLINE_S, wait_for
from tests.isi.server_peer import IsiServerPeer


class IsiInThread(NamedTuple):
    """A server that runs in a thread of its own.

    Attributes:
        peer: the server.
        loop: its loop.
    """

    peer: IsiServerPeer
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], object]) -> None:
        """Call *function* in the thread of the server."""

        async def called() -> None:
            function()

        asyncio.run_coroutine_threadsafe(called(), self.loop).result(DEADLINE_S)


@contextlib.contextmanager
def isi_in_thread(peer: IsiServerPeer) -> Generator[IsiInThread]:
    """Run *peer* in a thread of its own."""
    ready: list[IsiInThread] = []
    done = threading.Event()

    async def serve() -> None:
        async with peer.listening():
            ready.append(IsiInThread(peer, asyncio.get_running_loop()))
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        wait_for(lambda: ready)
        yield ready[0]
    finally:
        done.set()
        thread.join()
