"""The Python way to read from and write to a DataLink server, such as ringserver.

::

    with DataLink("tcp://localhost:16000") as link:
        link.write("FDSN:XX_TOWR_00_H_H_Z/MSEED", start_ns, end_ns, record)
        for packet in link.stream(start="earliest"):
            print(packet.stream_id, packet.packet_id, len(packet.data))

``async with`` gives the same with coroutines. A program that uses simpledali is ported by the table in
``docs/datalink.md``.
"""

from typing import TYPE_CHECKING

from rawdaq.datalink.blocking import BlockingDataLink
from rawdaq.datalink.errors import (
    ConnectionLost,
    CredentialExposed,
    DataLinkError,
    NoAnswer,
    ServerRefused,
    WriteInterrupted,
)
from rawdaq.datalink.link import DataLink
from rawdaq.protocols.datalink import (
    ConnectionInfo,
    DataPacket,
    Identity,
    InfoType,
    PayloadType,
    ServerInfo,
    Status,
    StreamInfo,
    Write,
    datalink_id,
    payload_type,
    stream_of,
)

if TYPE_CHECKING:
    from rawdaq.datalink.payloads import PayloadUnreadable, is_waveform, json_of, waveform_of

__all__ = [
    "BlockingDataLink",
    "ConnectionInfo",
    "ConnectionLost",
    "CredentialExposed",
    "DataLink",
    "DataLinkError",
    "DataPacket",
    "Identity",
    "InfoType",
    "NoAnswer",
    "PayloadType",
    "PayloadUnreadable",
    "ServerInfo",
    "ServerRefused",
    "Status",
    "StreamInfo",
    "Write",
    "WriteInterrupted",
    "datalink_id",
    "is_waveform",
    "json_of",
    "payload_type",
    "stream_of",
    "waveform_of",
]


def __getattr__(name: str) -> object:
    """Load what reads payloads, and libmseed with it, when it is used."""
    if name in ("PayloadUnreadable", "is_waveform", "json_of", "waveform_of"):
        from rawdaq.datalink import payloads

        return getattr(payloads, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
