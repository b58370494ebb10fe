"""DataLink 1.0 and 1.1, over TCP and WebSocket: `DataLinkClient` asks and writes, `DataLinkServer` has the ring.

::

    client                                              server
    ID program:user:pid:arch              ->
                                          <-            ID DataLink ... :: DLPROTO:1.1 PACKETSIZE:512 WRITE
    WRITE XX_A__HHZ/MSEED t t A 512 + data ->
                                          <-            OK 4711 0
    MATCH 5 + ^FDSN, POSITION SET 4711    ->
                                          <-            OK 1 33 + text, OK 4711 25 + text
    STREAM                                ->
                                          <-            PACKET ..., PACKET ..., for ever

>>> client, server = DataLinkClient(), DataLinkServer(packet_size=512)
>>> client.send(Identify("me:myself:1:pc"))
>>> list(server.receive_data(client.data_to_send()))
[Identify(client_id='me:myself:1:pc')]
>>> server.send(Identity.of("DataLink v1.1 :: DLPROTO:1.1 PACKETSIZE:512 WRITE"))
>>> [event.reply.packet_size for event in client.receive_data(server.data_to_send())]
[512]
"""

from rawdaq.protocols.datalink.client import Acknowledged, Answer, ClientEvent, DataLinkClient, Streamed
from rawdaq.protocols.datalink.commands import (
    AuthToken,
    AuthUserPass,
    Bye,
    Command,
    EndStream,
    Identify,
    Info,
    InfoType,
    Match,
    Place,
    PositionAfter,
    PositionSet,
    Read,
    Reject,
    Stream,
    Write,
)
from rawdaq.protocols.datalink.envelope import read_envelope, unpacked, write_envelope
from rawdaq.protocols.datalink.ids import (
    IdStyle,
    PayloadType,
    check_id,
    datalink_id,
    expression_of,
    payload_type,
    stream_of,
    translated,
)
from rawdaq.protocols.datalink.info import (
    ConnectionInfo,
    ServerInfo,
    ServerThread,
    Status,
    StreamInfo,
    read_info,
    write_info,
)
from rawdaq.protocols.datalink.packets import DataPacket, encode_packet
from rawdaq.protocols.datalink.replies import Identity, InfoReply, Ok, Refused, Reply, StreamEnded
from rawdaq.protocols.datalink.server import MAX_PACKET_ID, BadCommand, DataLinkServer, ServerEvent

__all__ = [
    "MAX_PACKET_ID",
    "Acknowledged",
    "Answer",
    "AuthToken",
    "AuthUserPass",
    "BadCommand",
    "Bye",
    "ClientEvent",
    "Command",
    "ConnectionInfo",
    "DataLinkClient",
    "DataLinkServer",
    "DataPacket",
    "EndStream",
    "IdStyle",
    "Identify",
    "Identity",
    "Info",
    "InfoReply",
    "InfoType",
    "Match",
    "Ok",
    "PayloadType",
    "Place",
    "PositionAfter",
    "PositionSet",
    "Read",
    "Refused",
    "Reject",
    "Reply",
    "ServerEvent",
    "ServerInfo",
    "ServerThread",
    "Status",
    "Stream",
    "StreamEnded",
    "StreamInfo",
    "Streamed",
    "Write",
    "check_id",
    "datalink_id",
    "encode_packet",
    "expression_of",
    "payload_type",
    "read_envelope",
    "read_info",
    "stream_of",
    "translated",
    "unpacked",
    "write_envelope",
    "write_info",
]
