"""A server around our own codec's server side, for the peers that others wrote: the least that speaks DataLink."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rawdaq.protocols.datalink import (
    AuthToken,
    AuthUserPass,
    BadCommand,
    Bye,
    DataLinkServer,
    DataPacket,
    EndStream,
    Identify,
    Identity,
    Info,
    InfoReply,
    Match,
    Ok,
    Place,
    PositionAfter,
    PositionSet,
    Read,
    Refused,
    Reject,
    ServerEvent,
    ServerInfo,
    Status,
    Stream,
    StreamEnded,
    StreamInfo,
    Write,
    write_info,
)
from tests.helpers import until

IDENTITY = Identity.of("DataLink v1.1 (rawdaq) :: DLPROTO:1.1 PACKETSIZE:512 WRITE AUTH")


class CodecServer:
    """Keeps what is written, and gives it to those who stream."""

    def __init__(self) -> None:
        self.packets: list[DataPacket] = []
        self.position = 0
        self.clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        codec = DataLinkServer(512)
        self.clients += 1
        is_over = False
        while not is_over and (data := await reader.read(1 << 16)):
            for event in codec.receive_data(data):
                self.answer(codec, event)
                is_over = is_over or isinstance(event, Bye) or (isinstance(event, BadCommand) and event.closes)
            writer.write(codec.data_to_send())
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.clients -= 1

    def answer(self, codec: DataLinkServer, event: ServerEvent) -> None:
        """Answer one command."""
        match event:
            case Identify():
                codec.send(IDENTITY)
            case Write():
                number = len(self.packets) + 1
                self.packets.append(
                    DataPacket(event.stream_id, number, 10**15, event.start_ns, event.end_ns, event.data)
                )
                if event.is_acknowledged:
                    codec.send(Ok(number))
            case Match() | Reject() | AuthToken() | AuthUserPass():
                codec.send(Ok(1, "done"))
            case PositionAfter():
                codec.send(Ok(1, "Positioned"))
            case PositionSet(packet):
                ends = {Place.EARLIEST: 1, Place.LATEST: len(self.packets)}
                self.position = ends[packet] if isinstance(packet, Place) else packet
                codec.send(Ok(self.position, "Positioned"))
            case Read(number):
                found = 1 <= number <= len(self.packets)
                codec.send(self.packets[number - 1] if found else Refused(f"Packet {number} not found in ring"))
            case Stream():
                for each in self.packets[self.position :]:
                    codec.send(each)
            case EndStream():
                codec.send(StreamEnded())
            case Info(kind):
                names = sorted({packet.stream_id for packet in self.packets})
                info = ServerInfo(
                    version="v",
                    server_id="s",
                    capabilities="DLPROTO:1.1 PACKETSIZE:512 WRITE",
                    status=Status(
                        start_time_ns=10**18, ring_size=1, packet_size=512, latest_packet_id=len(self.packets)
                    ),
                    total_streams=len(names),
                    streams=[StreamInfo(name=name, latest_packet_id=1, data_latency=0.5) for name in names],
                )
                codec.send(InfoReply(kind, write_info(info, kind)))
            case BadCommand(text):
                codec.send(Refused(text))
            case Bye():
                pass


@asynccontextmanager
async def serving_codec() -> AsyncGenerator[tuple[CodecServer, int]]:
    """Run a server; yield it and its port."""
    one = CodecServer()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    try:
        yield one, server.sockets[0].getsockname()[1]
        await until(lambda: not one.clients)
    finally:
        server.close()
