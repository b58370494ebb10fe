"""INFO: what ringserver of both ages answers, typed; and what we write, read back."""

import pytest

from rawdaq.protocols.datalink import (
    ConnectionInfo,
    InfoType,
    ServerInfo,
    ServerThread,
    Status,
    StreamInfo,
    read_info,
    write_info,
)
from rawdaq.protocols.datalink.errors import InfoUnreadable
from rawdaq.times import from_iso

NEW = b"""\
<DataLink Version="DataLink v1.1 (RingServer/4.5.3)" ServerID="Site A"
Capabilities="DLPROTO:1.1 PACKETSIZE:512 WRITE"><Status StartTime="2026-03-01T00:00:00Z" RingVersion="3"
RingSize="10485760" PacketSize="632" MaximumPackets="16590" MemoryMappedRing="TRUE" VolatileRing="FALSE"
TotalConnections="2" TotalStreams="1" TXPacketRate="0.0" TXByteRate="12.5" RXPacketRate="0.0" RXByteRate="0.0"
EarliestPacketID="0" EarliestPacketCreationTime="-" EarliestPacketDataStartTime="-"
EarliestPacketDataEndTime="-" LatestPacketID="18446744073709551604"
LatestPacketCreationTime="2026-03-01T00:00:00.123456Z" LatestPacketDataStartTime="-"
LatestPacketDataEndTime="-" New="x"/><StreamList TotalStreams="3" SelectedStreams="1"><Stream
Name="FDSN:XX_A__H_H_Z/MSEED" EarliestPacketID="1" EarliestPacketDataStartTime="2026-03-01T00:00:00.000000Z"
LatestPacketID="7" LatestPacketDataStartTime="2026-03-01T00:00:01.500000Z"
LatestPacketDataEndTime="2026-03-01T00:00:01.500000Z" DataLatency="0.3"/></StreamList></DataLink>"""

OLD = b"""\
<DataLink Version="2020.075" ServerID="x" Capabilities=""><Status StartTime="2026-03-01 00:00:00"
PacketSize="512" LatestPacketCreationTime="2026-03-01 00:00:00.5"/><ServerThreads
TotalServerThreads="1"><Thread Flags=" ACTIVE" Type="IPv4: DataLink"
Port="16000"/></ServerThreads><ConnectionList TotalConnections="5" SelectedConnections="1"><Connection
Type="DataLink" IP="127.0.0.1" Port="4711" ClientID="a:b:1:c" PercentLag="12%"
StreamCount="-"/></ConnectionList></DataLink>"""


def test_what_ringserver_4_answers_is_read() -> None:
    info = read_info(NEW)
    assert (info.version, info.server_id) == ("DataLink v1.1 (RingServer/4.5.3)", "Site A")
    assert info.capabilities == "DLPROTO:1.1 PACKETSIZE:512 WRITE"
    status = info.status
    assert (status.packet_size, status.memory_mapped_ring, status.volatile_ring) == (632, True, False)
    assert (status.earliest_packet_id, status.earliest_packet_creation_time_ns) == (0, None)
    assert status.latest_packet_id == 18446744073709551604
    assert status.latest_packet_creation_time_ns == from_iso("2026-03-01T00:00:00.123456Z")
    assert status.tx_byte_rate == 12.5
    assert (info.total_streams, info.total_connections, len(info.connections)) == (3, None, 0)
    (stream,) = info.streams
    assert stream == StreamInfo(
        name="FDSN:XX_A__H_H_Z/MSEED",
        earliest_packet_id=1,
        earliest_packet_data_start_time_ns=from_iso("2026-03-01T00:00:00Z"),
        latest_packet_id=7,
        latest_packet_data_start_time_ns=from_iso("2026-03-01T00:00:01.5Z"),
        latest_packet_data_end_time_ns=from_iso("2026-03-01T00:00:01.5Z"),
        data_latency=0.3,
    )


def test_what_an_old_server_answers_is_read() -> None:
    info = read_info(OLD)
    assert info.status.start_time_ns == from_iso("2026-03-01T00:00:00Z")
    assert info.status.latest_packet_creation_time_ns == from_iso("2026-03-01T00:00:00.5Z")
    assert info.threads == [ServerThread(flags=" ACTIVE", type="IPv4: DataLink", port=16000)]
    assert info.total_connections == 5
    assert info.connections == [
        ConnectionInfo(type="DataLink", ip="127.0.0.1", port=4711, client_id="a:b:1:c", percent_lag=12)
    ]
    assert read_info(b"<DataLink/>") == ServerInfo(threads=[], streams=[], connections=[])


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "no element found"),
        (b"\xff\xfe<", ""),
        (b'<?xml version="1.0" encoding="nope"?><DataLink/>', "nope"),
        (b"<Other/>", "its first element is Other, not DataLink"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><DataLink/>', "it has a document type"),
        (b'<DataLink><Status RingSize="big"/></DataLink>', "RingSize of Status is 'big'"),
        (b'<DataLink><Status StartTime="yesterday"/></DataLink>', "StartTime of Status is 'yesterday'"),
        (b'<DataLink><StreamList TotalStreams="-1"/></DataLink>', "TotalStreams of StreamList is '-1'"),
    ],
)
def test_what_is_no_such_document_is_an_error(xml: bytes, reason: str) -> None:
    with pytest.raises(InfoUnreadable, match=f"unreadable answer to INFO: .*{reason}"):
        read_info(xml)


TIME_NS = from_iso("2026-03-01T00:00:00.5Z")
STATUS = Status(start_time_ns=TIME_NS, ring_size=5, memory_mapped_ring=True, volatile_ring=False, tx_packet_rate=1.25)
HEAD = ServerInfo(
    version="v", server_id="<&>", capabilities="WRITE", status=STATUS, total_streams=4, total_connections=2
)


@pytest.mark.parametrize("kind", InfoType)
def test_what_is_written_is_read_again(kind: InfoType) -> None:
    threads = [ServerThread(type="IPv4", port=1)] if kind is InfoType.STATUS else []
    streams = [StreamInfo(name="a", latest_packet_id=9)] if kind is InfoType.STREAMS else []
    connections = [ConnectionInfo(host="h", latency=1.0)] if kind is InfoType.CONNECTIONS else []
    given = ServerInfo(
        version=HEAD.version,
        server_id=HEAD.server_id,
        capabilities=HEAD.capabilities,
        status=STATUS,
        threads=threads,
        total_streams=4,
        streams=streams,
        total_connections=2,
        connections=connections,
    )
    read = read_info(write_info(given, kind))
    assert (read.threads, [each.name for each in read.streams]) == (threads, [each.name for each in streams])
    assert read.connections == [ConnectionInfo(host="h", latency=1.0, packet_id=0)] * len(connections)
    assert read.total_streams == (4 if kind is InfoType.STREAMS else None)
    assert read.total_connections == (2 if kind is InfoType.CONNECTIONS else None)
    assert (read.status.start_time_ns, read.status.ring_size, read.status.tx_packet_rate) == (TIME_NS, 5, 1.2)
    assert (read.server_id, read.status.earliest_packet_id) == ("<&>", 0)


def test_threads_are_left_out_when_there_are_none() -> None:
    assert b"ServerThreads" not in write_info(HEAD, InfoType.STATUS)
