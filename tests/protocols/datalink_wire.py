"""What the tests of DataLink's codec share."""

import struct
from collections.abc import Iterator
from typing import Protocol, TypeVar

from rawdaq.protocols.datalink import (
    ClientEvent,
    Command,
    DataLinkClient,
    DataLinkServer,
    Identify,
    Identity,
    Reply,
    ServerEvent,
)

NS = 1000
ID_TEXT = "DataLink v1.1 (RingServer/4.5.3) :: DLPROTO:1.1 PACKETSIZE:512 WRITE AUTH"
T_co = TypeVar("T_co", covariant=True)


class Receiver(Protocol[T_co]):
    def receive_data(self, data: bytes) -> Iterator[T_co]: ...


def packed(header: bytes, data: bytes = b"") -> bytes:
    """Return a packet, made without the codec."""
    return struct.pack("2sB", b"DL", len(header)) + header + data


def receive(peer: Receiver[T_co], data: bytes, size: int = 0) -> list[T_co]:
    """Return what *data*, in pieces of *size* bytes (0: whole), completes."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return [event for piece in pieces for event in peer.receive_data(piece)]


class Pair:
    """A client and a server, wired in memory."""

    def __init__(self, packet_size: int = 512, text: str = "", size: int = 0) -> None:
        self.client, self.server = DataLinkClient(), DataLinkServer(packet_size)
        self.size = size
        if text:
            self.ask(Identify())
            self.answer(Identity.of(text))

    def ask(self, command: Command) -> list[ServerEvent]:
        self.client.send(command)
        return receive(self.server, self.client.data_to_send(), self.size)

    def answer(self, *replies: Reply) -> list[ClientEvent]:
        for reply in replies:
            self.server.send(reply)
        return receive(self.client, self.server.data_to_send(), self.size)
