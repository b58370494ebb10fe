r"""ISI, the IDA System Interface, over IACP: `IsiClient` asks and reads, `IsiServer` answers and sends.

::

    client                                  server
    HANDSHAKE                        ->
                                     <-     HANDSHAKE
    FORMAT, COMPRESSION, POLICY,     ->                         (one request a connection)
    WINDOW for each name, NULL
                                     <-     the same, a WINDOW for each stream, NULL
                                     <-     PACKET, PACKET, HEARTBEAT when there is none, for ever,
                                            or ALERT when the windows are over

A report is asked for by one frame and comes as entries, NULL and ALERT. Streams are called ``station.channel.location``
in lower case; ISI knows no networks. `frames` has what IACP is, `values` what frames are made of.

>>> client, server = IsiClient(), IsiServer()
>>> client.send_data_request(DataRequest((Window(IsiName("*", "bhz")),)))
>>> [event] = server.receive_data(client.data_to_send())
>>> server.send_acceptance(event.request, [Window(IsiName("aak", "bhz"))])
>>> [event.__class__.__name__ for event in client.receive_data(server.data_to_send())]
['Ready', 'Accepted']
"""

from rawdaq.protocols.isi.client import Accepted, ClientEvent, Ended, Entry, IsiClient, Ready, Unreadable
from rawdaq.protocols.isi.errors import Alerted, NameInvalid, PacketTooLarge, PacketUnreadable, Unsupported, Withdrawn
from rawdaq.protocols.isi.frames import Cause, cause_text
from rawdaq.protocols.isi.packets import MAX_DATA_BYTES, Compression, IsiPacket, decode_packet, encode_packet
from rawdaq.protocols.isi.reports import StreamConfiguration, StreamHealth, wfdisc_line
from rawdaq.protocols.isi.requests import DataRequest, Format, Place, Policy, Report, Window
from rawdaq.protocols.isi.server import DataRequested, IsiServer, ReportRequested, ServerEvent
from rawdaq.protocols.isi.values import Coordinates, IsiName, Stamp, TimeStatus, check_names

__all__ = [
    "MAX_DATA_BYTES",
    "Accepted",
    "Alerted",
    "Cause",
    "ClientEvent",
    "Compression",
    "Coordinates",
    "DataRequest",
    "DataRequested",
    "Ended",
    "Entry",
    "Format",
    "IsiClient",
    "IsiName",
    "IsiPacket",
    "IsiServer",
    "NameInvalid",
    "PacketTooLarge",
    "PacketUnreadable",
    "Place",
    "Policy",
    "Ready",
    "Report",
    "ReportRequested",
    "ServerEvent",
    "Stamp",
    "StreamConfiguration",
    "StreamHealth",
    "TimeStatus",
    "Unreadable",
    "Unsupported",
    "Window",
    "Withdrawn",
    "cause_text",
    "check_names",
    "decode_packet",
    "encode_packet",
    "wfdisc_line",
]
