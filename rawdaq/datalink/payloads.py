"""What the packets of a server hold: samples or JSON."""

import bz2
import json
import time
from typing import Any

from rawdaq.errors import InvalidValue, RawdaqError, error_text
from rawdaq.miniseed.reader import RecordUnreadable, read_info, read_record, to_packet
from rawdaq.packet import Packet
from rawdaq.protocols.datalink import DataPacket, IdStyle, PayloadType, Write, datalink_id, payload_type, unpacked
from rawdaq.stream_id import StreamId

_WAVEFORMS = (PayloadType.MSEED, PayloadType.MSEED3)


@error_text("packet {packet_id} of {stream_id}: {reason}")
class PayloadUnreadable(RawdaqError):
    """The data of a packet are not what its stream id says.

    Args:
        stream_id: the packet's stream.
        packet_id: its number.
        reason: what is wrong.
    """

    stream_id: str
    packet_id: int
    reason: str


def is_waveform(packet: DataPacket) -> bool:
    """Whether *packet* holds a miniSEED record."""
    return payload_type(packet.stream_id) in _WAVEFORMS


def waveform_of(packet: DataPacket, received_ns: int | None = None) -> Packet:
    """Return the samples of *packet*, under the name that its record has.

    Args:
        packet: one of the type MSEED or MSEED3.
        received_ns: when it came; by default now.

    Raises:
        PayloadUnreadable: its data are no miniSEED record with samples.
    """
    try:
        samples = to_packet(*read_record(packet.data), time.time_ns() if received_ns is None else received_ns)
        if samples is None:
            raise RecordUnreadable("its record holds no samples")
        return samples
    except (RecordUnreadable, InvalidValue) as error:
        raise PayloadUnreadable(packet.stream_id, packet.packet_id, str(error)) from None


def json_of(packet: DataPacket) -> Any:
    """Return the value in *packet*, one of the type JSON or BZJSON.

    Raises:
        PayloadUnreadable: its data are no JSON.
    """
    try:
        is_packed = payload_type(packet.stream_id) == PayloadType.BZJSON
        return json.loads(unpacked(packet.data) if is_packed else packet.data)
    except (ValueError, RecursionError) as error:
        raise PayloadUnreadable(packet.stream_id, packet.packet_id, f"no JSON: {error}") from None


def record_write(record: bytes, style: IdStyle, is_acknowledged: bool = True) -> Write:
    """Return what writes one miniSEED *record* under the name and times that it has itself.

    Raises:
        InvalidValue: it is not a record.
    """
    try:
        info = read_info(record)
        stream = StreamId.parse(info.name)
    except RecordUnreadable as error:
        raise InvalidValue(f"this is no miniSEED record: {error}") from None
    kind = PayloadType.MSEED3 if record[:3] == b"MS\x03" else PayloadType.MSEED
    return Write(datalink_id(stream, kind, style), info.start_ns, info.end_ns, bytes(record), is_acknowledged)


def json_bytes(value: object, is_packed: bool = False) -> bytes:
    """Return *value* as the data of a packet of the type JSON, or BZJSON when it *is_packed*."""
    data = json.dumps(value).encode()
    return bz2.compress(data) if is_packed else data
