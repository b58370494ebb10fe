"""Packets of both versions out of bytes: data, answers to INFO, END, and an error between them."""

from rawdaq.protocols.elided import elided
from rawdaq.protocols.seedlink import v3, v4
from rawdaq.protocols.seedlink.client.events import ClientEvent, InfoReceived, InfoRefused, TransferEnded
from rawdaq.protocols.seedlink.errors import PacketWrong, PayloadTooLarge
from rawdaq.protocols.seedlink.lines import find_reply
from rawdaq.protocols.seedlink.packets import DataPacket
from rawdaq.protocols.seedlink.records import read_head, record_channel, record_station, record_text
from rawdaq.protocols.seedlink.words import END, SeedLinkVersion

_SIGNATURE_BYTES = 2
_LINE_ENDS = b"\r\n"
_INFO = b"SLINFO"

#: What was read, None when that completes nothing, and where it ends.
_Found = tuple[ClientEvent | None, int]


class PacketReader:
    """Reads what lies at a packet border; holds the parts of an INFO answer of version 3.

    Attributes:
        info_bytes: how much it holds.
    """

    def __init__(self) -> None:
        self.info_bytes = 0
        self._info: list[bytes] = []

    def read(self, data: bytearray, position: int, version: SeedLinkVersion) -> _Found | None:
        """Return what begins at *position* of *data*, None when it is not all there.

        Raises:
            RemoteProtocolError: it is nothing that a server may send there.
        """
        if len(data) - position < _SIGNATURE_BYTES:
            return None
        signature = bytes(data[position : position + _SIGNATURE_BYTES])
        is_v4 = version is SeedLinkVersion.V4
        if signature == (v4.SIGNATURE if is_v4 else v3.SIGNATURE):
            return self._read_v4(data, position) if is_v4 else self._read_v3(data, position)
        if signature == END[:_SIGNATURE_BYTES]:
            return self._read_end(data, position)
        if signature == b"ER":
            end = find_reply(data, position)
            return None if end is None else (InfoRefused(None, elided(data[position:end])), end + len(_LINE_ENDS))
        if signature == _LINE_ENDS:
            return None, position + len(_LINE_ENDS)
        raise PacketWrong("the signature", elided(data[position : position + v3.HEADER_BYTES]))

    def _read_end(self, data: bytearray, position: int) -> _Found | None:
        end = position + len(END)
        if len(data) < end:
            return None
        if bytes(data[position:end]) != END:
            raise PacketWrong("the signature", elided(data[position:end]))
        return TransferEnded(), end

    def _read_v4(self, data: bytearray, position: int) -> _Found | None:
        begin = position + v4.HEADER.size
        if len(data) < begin:
            return None
        header = v4.read_header(data, position)
        middle = begin + header.station_bytes
        end = middle + header.payload_bytes
        if len(data) < end:
            return None
        payload = bytes(data[middle:end])
        if header.format == v4.Format.JSON and not header.station_bytes:
            return InfoReceived(None, payload, header.subformat == v4.JSON_ERROR), end
        station = data[begin:middle].decode("ascii", "replace")
        return DataPacket(station, header.sequence, payload, header.format, header.subformat), end

    def _read_v3(self, data: bytearray, position: int) -> _Found | None:
        begin = position + v3.HEADER_BYTES
        head = read_head(data, begin)
        if head is None or len(data) < begin + head.length_bytes:
            return None
        end = begin + head.length_bytes
        header, record = bytes(data[position:begin]), bytes(data[begin:end])
        if header.startswith(_INFO):
            return self._info_part(header, record), end
        sequence = v3.read_sequence(header)
        return DataPacket(record_station(record), sequence, record, head.format, head.subformat), end

    def _info_part(self, header: bytes, record: bytes) -> InfoReceived | None:
        """Keep a part of an INFO answer; return the answer with its last part."""
        text = record_text(record)
        self._info.append(text)
        self.info_bytes += len(text)
        if self.info_bytes > v4.MAX_INFO_BYTES:
            raise PayloadTooLarge("an answer to INFO", self.info_bytes, v4.MAX_INFO_BYTES)
        if header == v3.INFO_MORE:
            return None
        answer = InfoReceived(None, b"".join(self._info), record_channel(record) == "ERR")
        self._info, self.info_bytes = [], 0
        return answer
