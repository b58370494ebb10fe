"""Messages of TCP connections: cut where their format says that they end."""

import asyncio
from collections.abc import Callable
from typing import Any

from rawdaq.receivers.assembler.intake import Intake, Origin
from rawdaq.streams.assembly.readout_format import DatagramRefused

#: Longer than any datagram: a longer one is no message of a format.
_MAX_BYTES = 1 << 20


class Connection(asyncio.Protocol):
    """One sender's connection.

    Args:
        intake: what is known of senders.
        take: gets the messages that came together.
    """

    def __init__(self, intake: Intake, take: Callable[[Origin, list[bytes]], None]) -> None:
        self._intake, self._take = intake, take
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._origin: Origin | None = None

    def connection_made(self, transport: Any) -> None:
        """Remember who it is."""
        host, port = transport.get_extra_info("peername")[:2]
        self._transport = transport
        self._origin = self._intake.origin(host, port)

    def data_received(self, data: bytes) -> None:
        """Take the messages that are whole; a sender whose bytes are no messages is disconnected."""
        origin, transport = self._origin, self._transport
        if origin is None or transport is None:
            return
        self._buffer += data
        messages: list[bytes] = []
        try:
            if origin.slot is not None:
                self._cut(messages)
        except DatagramRefused as error:
            origin.malformed += 1
            self._intake.refusals.count(error.reason, origin.name, f"{error}; the connection is closed")
            transport.close()
        if messages or origin.slot is None:
            self._take(origin, messages or [b""])
        if origin.slot is None:
            transport.close()

    def _cut(self, messages: list[bytes]) -> None:
        """Append the messages that are whole to *messages*.

        Raises:
            DatagramRefused: what follows is not of the format.
        """
        at = 0
        whole = bytes(self._buffer)
        try:
            while at < len(whole):
                size = self._intake.format.length(memoryview(whole)[at:])
                if size is not None and not 0 < size <= _MAX_BYTES:
                    raise DatagramRefused("message too large", f"a message of {size} bytes, limit is {_MAX_BYTES}")
                if size is None or at + size > len(whole):
                    break
                messages.append(whole[at : at + size])
                at += size
        finally:
            del self._buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what came without its end."""
        if self._buffer and self._origin is not None and self._origin.slot is not None:
            self._origin.malformed += 1
            self._intake.refusals.count("cut", self._origin.name, f"{len(self._buffer)} bytes without their end")
        self._buffer.clear()
