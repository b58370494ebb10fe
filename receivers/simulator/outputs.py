"""Sockets of simulated devices: each sender has its own, where asked for with an address of its own."""

import asyncio
import contextlib
import logging
import socket

from rawdaq.errors import ComponentError
from rawdaq.outage import Outage
from rawdaq.receivers.simulator.plan import SourceSettings
from rawdaq.sockets.dialling import Backoff

_CONNECT_S = 5.0
_MAX_WAITING_BYTES = 4 << 20  # of a TCP sender: beyond it, its messages are counted as unsent
_CLOSE_S = 5.0


class UdpOutput:
    """The sockets of one source, which sends datagrams.

    Args:
        settings: of the source.

    Raises:
        ComponentError: a socket cannot have its address, or the receiver's name is not known.
    """

    def __init__(self, settings: SourceSettings) -> None:
        host, port = settings.target
        self._sockets: list[socket.socket] = []
        try:
            family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            for slot in range(settings.senders):
                sender = socket.socket(family, socket.SOCK_DGRAM)
                self._sockets.append(sender)
                sender.setblocking(False)
                if (address := settings.address(slot)) is not None:
                    sender.bind((address, 0))
                sender.connect(target)
        except OSError as error:
            self.close()
            where = f"from {settings.first_address} on" if settings.first_address else ""
            raise ComponentError(f"no datagrams can be sent to {settings.to} {where}: {error}") from error

    async def ready(self) -> None:
        """Return at once."""

    def send(self, slot: int, data: bytes) -> bool:
        """Send *data* from *slot*; return whether the system has taken it."""
        for _ in range(2):  # the first may only bring the refusal of the datagram before: nobody was there
            try:
                self._sockets[slot].send(data)
            except ConnectionRefusedError:
                continue
            except OSError:
                return False
            return True
        return False

    async def aclose(self) -> None:
        """Close the sockets."""
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        for each in self._sockets:
            each.close()


class TcpOutput:
    """The connections of one source; one that ends is made again.

    Args:
        settings: of the source.
        log: where it says who is not there.
    """

    def __init__(self, settings: SourceSettings, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._tried = asyncio.Event()  # every sender is connected, or one cannot be
        self._outage = Outage(log)
        self._tasks = [asyncio.create_task(self._keep(slot)) for slot in range(settings.senders)]

    async def ready(self) -> None:
        """Return when every sender is connected, or one has failed to."""
        await self._tried.wait()

    def send(self, slot: int, data: bytes) -> bool:
        """Send *data* from *slot*; return False when it is not connected, or its receiver takes nothing."""
        writer = self._writers.get(slot)
        if writer is None or writer.transport.get_write_buffer_size() > _MAX_WAITING_BYTES:
            return False
        writer.write(data)
        return True

    async def _keep(self, slot: int) -> None:
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                reader, writer = await self._connect(slot)
            except OSError as error:  # a timeout is one, too
                self._outage.log("sender %d cannot connect to %s: %s", slot, self._settings.to, error or "no answer")
                self._tried.set()
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            self._writers[slot] = writer
            if len(self._writers) == self._settings.senders:
                self._tried.set()
                self._outage.clear()
            try:
                with contextlib.suppress(OSError):
                    while await reader.read(4096):  # whatever a receiver answers
                        pass
            finally:
                self._writers.pop(slot, None)
                writer.close()

    async def _connect(self, slot: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._settings.target
        address = self._settings.address(slot)
        async with asyncio.timeout(_CONNECT_S):
            return await asyncio.open_connection(host, port, local_addr=address and (address, 0))

    async def aclose(self) -> None:
        """Close the connections when all that was sent has gone, at the latest after some seconds."""
        writers = list(self._writers.values())
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_CLOSE_S):
                for writer in writers:
                    writer.transport.set_write_buffer_limits(0)
                    await writer.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in writers:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await writer.wait_closed()
