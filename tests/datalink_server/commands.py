"""What the server answers: commands of ringserver 4.5 (protocol 1.1) and 2020 (1.0), with their texts."""

import re
import time
from dataclasses import dataclass, field

from tests.datalink_server.ring import Ring, RingPacket, kept
from tests.datalink_server.wire import Refuse, Wire

_MOST_WORDS = {b"READ": 2, b"POSITION": 4, b"MATCH": 2, b"REJECT": 2, b"AUTH": 3, b"INFO": 3, b"WRITE": 7}


@dataclass
class Rules:
    """How the server is set up."""

    packet_size: int = 512
    protocol: str = "1.1"
    may_write: bool = True
    is_trusted: bool = True
    must_authenticate: bool = False
    users: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    tokens: set[bytes] = field(default_factory=set[bytes])
    server_id: str = "Test"
    writable: bytes = b""  # expression of the ids that may be written


class Session:
    """A client, once it has said something."""

    def __init__(self, wire: Wire, ring: Ring, rules: Rules, errors: list[str]) -> None:
        self.wire, self.ring, self.rules, self.errors = wire, ring, rules, errors
        self.client_id = ""
        self.may_write = rules.may_write
        self.is_authenticated = False
        self.is_streaming = False
        self.position: int | None = None  # the count of the packet that counts as read
        self.match = self.reject = b""
        self.commands: list[bytes] = []

    # ------------------------------------------------------------------ packets in, replies out

    def data_bytes(self, header: bytes) -> int:
        """Return the size of the data that follow a header."""
        words = header.split()
        word = words[0].upper() if words else b""
        at = {b"WRITE": 5, b"AUTH": 2, b"MATCH": 1, b"REJECT": 1, b"INFO": 2}.get(word)
        if at is None or not at < len(words) <= _MOST_WORDS.get(word, 16) or not words[at].isdigit():
            return 0
        if word == b"WRITE" and not all(re.fullmatch(rb"-?\d+", each) for each in words[2:4]):
            return 0
        size = int(words[at])
        return size if word != b"WRITE" or size <= self.rules.packet_size + 120 else 0

    def handle(self, header: bytes, data: bytes) -> None:
        """Answer one command."""
        self.commands.append(header)
        words = header.split()
        word = words[0] if self.rules.protocol == "1.0" else words[0].upper() if words else b""
        handler = getattr(self, f"do_{word.decode('latin1').lower()}", None) if word.isupper() else None
        if handler is None:
            self.error("Unrecognized command")
            return
        try:
            if len(words) > _MOST_WORDS.get(word, 16):
                raise ValueError(words)
            handler(words, data)
        except (IndexError, ValueError):
            name = word.decode()
            self.error(f"Error parsing {name} command parameters", closes=name == "WRITE")

    def say(self, header: bytes, data: bytes = b"") -> None:
        self.wire.write(b"DL" + bytes([len(header)]) + header + data)

    def ok(self, value: int, text: bytes = b"") -> None:
        self.say(b"OK %d %d" % (value, len(text)), text)

    def error(self, text: str, closes: bool = False) -> None:
        self.errors.append(text)
        self.say(b"ERROR 0 %d" % len(text), text.encode())
        if closes:
            self.wire.end()

    # ------------------------------------------------------------------ commands

    def do_id(self, words: list[bytes], data: bytes) -> None:
        self.client_id = b" ".join(words[1:]).decode("latin1")
        old = self.rules.protocol == "1.0"
        software = "DataLink 2020.075" if old else "DataLink v1.1 (RingServer/4.5.3)"
        more = (" WRITE" if self.may_write else "") + (" AUTH" if self.rules.users or self.rules.tokens else "")
        self.say(f"ID {software} :: DLPROTO:{self.rules.protocol} PACKETSIZE:{self.rules.packet_size}{more}".encode())

    def do_auth(self, words: list[bytes], data: bytes) -> None:
        self.is_streaming = False
        if int(words[2]) != len(data):
            raise ValueError(words)
        user, _, password = data.partition(b"\r")
        known = data in self.rules.tokens if words[1] == b"JWT" else self.rules.users.get(user) == password
        self.may_write = self.is_authenticated = known
        if known:
            self.ok(0, b"Authentication successful")
        else:
            self.error("Authentication failed, not allowed to connect")

    def do_position(self, words: list[bytes], data: bytes) -> None:
        self.is_streaming = False
        ring = self.ring
        found: tuple[int, RingPacket] | None = None
        if words[1] == b"AFTER":
            matching = [
                at
                for at in range(ring.first, ring.written)
                if self._wants(packet := ring.packets[at - ring.first]) and packet.end_us > int(words[2])
            ]
            at = matching[0] if matching else ring.written - 1
            found = (at, ring.packets[at - ring.first]) if ring.packets else None
        elif words[2] in (b"EARLIEST", b"LATEST"):
            if not ring.packets:
                self.ok(0, b"Positioned to %s packet" % words[2])
                return
            at = ring.first if words[2] == b"EARLIEST" else ring.written - 1
            found = at, ring.packets[at - ring.first]
        else:
            found = ring.find(int(words[2]))
            if found and len(words) > 3 and found[1].time_us // 1_000_000 != int(words[3]) // 1_000_000:
                found = None
        if found is None:
            self.error("Packet not found")
        else:
            self.position = found[0]
            self.ok(found[1].id, b"Positioned to packet ID %d" % found[1].id)

    def _filter(self, words: list[bytes], data: bytes, name: str) -> None:
        self.is_streaming = False
        expression = data if len(words) > 1 else b""
        if len(words) > 1 and int(words[1]) != len(data):
            raise ValueError(words)
        try:
            re.compile(expression)
        except re.error:
            self.error(f"Error with {name} expression")
            return
        setattr(self, name, expression)
        count = len({packet.sid for packet in self.ring.packets if self._wants(packet)})
        self.ok(count, b"%d streams selected after %s" % (count, name.encode()))

    def do_match(self, words: list[bytes], data: bytes) -> None:
        self._filter(words, data, "match")

    def do_reject(self, words: list[bytes], data: bytes) -> None:
        self._filter(words, data, "reject")

    def _wants(self, packet: RingPacket) -> bool:
        is_rejected = bool(self.reject) and re.search(self.reject, packet.sid) is not None
        return not is_rejected and re.search(self.match, packet.sid) is not None

    def do_write(self, words: list[bytes], data: bytes) -> None:
        rules = self.rules
        size, start_us, end_us = int(words[5]), int(words[2]), int(words[3])
        if not self.may_write:
            self.error("Write permission not granted, no soup for you!", closes=True)
        elif size > rules.packet_size + 120:
            limit = rules.packet_size + 120
            self.error(f"Packet size ({size}) is too large for ring, maximum is {limit} bytes", closes=True)
        elif size > rules.packet_size:
            self.error("Error adding packet to ring", closes=True)
        elif len(words[1]) > 63 and rules.protocol != "1.0":
            self.error("Error, stream ID too long", closes=True)
        elif not re.search(rules.writable, words[1]):
            self.error(f"Error, permission denied for WRITE of stream ID: {words[1].decode()}", closes=True)
        else:
            number = int(words[6]) if b"I" in words[4] and rules.protocol != "1.0" else None
            sid = kept(words[1], rules.protocol)
            packet = self.ring.put(sid, start_us, end_us, data, number)
            if b"A" in words[4]:
                self.ok(packet.id)

    def do_read(self, words: list[bytes], data: bytes) -> None:
        self.is_streaming = False
        found = self.ring.find(int(words[1]))
        if found is None:
            self.error(f"Packet {words[1].decode()} not found in ring")
            return
        self.position = found[0]
        self._send(found[1])

    def _send(self, packet: RingPacket) -> None:
        if not packet.data:
            raise Refuse  # what ringserver does to its readers
        self.wire.write(packet.wire())

    def do_stream(self, words: list[bytes], data: bytes) -> None:
        if self.rules.must_authenticate and not self.is_authenticated:
            self.error("Authentication required", closes=True)
            return
        self.is_streaming = True
        if self.position is None:
            self.position = self.ring.written - 1

    def do_endstream(self, words: list[bytes], data: bytes) -> None:
        self.is_streaming = False
        self.say(b"ENDSTREAM")

    def stream(self, limit_bytes: int) -> None:
        """Queue packets behind the position, up to *limit_bytes*."""
        while self.is_streaming and self.position is not None and len(self.wire.out) < limit_bytes:
            packet = self.ring.at(count := self.ring.after(self.position))
            if packet is None:
                return
            self.position = count
            if self._wants(packet):
                self._send(packet)

    def do_bye(self, words: list[bytes], data: bytes) -> None:
        self.wire.end()

    def do_info(self, words: list[bytes], data: bytes) -> None:
        kind = words[1].decode() if len(words) > 1 else ""
        if kind == "CONNECTIONS" and not self.rules.is_trusted:
            self.error("Access to CONNECTIONS denied", closes=True)
        elif kind not in ("STATUS", "STREAMS", "CONNECTIONS"):
            self.error("Unrecognized INFO request", closes=True)
        else:
            xml = self._info(kind, data).encode()
            self.say(b"INFO %s %d" % (kind.encode(), len(xml)), xml)

    def _info(self, kind: str, expression: bytes) -> str:
        packets = self.ring.packets
        streams: dict[bytes, list[RingPacket]] = {}
        for packet in packets:
            streams.setdefault(packet.sid, []).append(packet)
        status = '<Status StartTime="2026-03-01T00:00:00Z" RingVersion="3" RingSize="1048576" PacketSize="632" '
        status += f'MaximumPackets="{self.ring.capacity}" MemoryMappedRing="TRUE" VolatileRing="FALSE" '
        status += f'TotalConnections="1" TotalStreams="{len(streams)}" '
        status += " ".join(f'{each}Rate="1.5"' for each in ("TXPacket", "TXByte", "RXPacket", "RXByte"))
        for name, end in (("Earliest", packets[:1]), ("Latest", packets[-1:])):
            times = [iso(us) for each in end for us in (each.time_us, each.start_us, each.end_us)] or ["-"] * 3
            status += f' {name}PacketID="{end[0].id if end else 0}" {name}PacketCreationTime="{times[0]}"'
            status += f' {name}PacketDataStartTime="{times[1]}" {name}PacketDataEndTime="{times[2]}"'
        status += "/>"
        more = ""
        if kind == "STREAMS":
            use_own = expression and self.rules.protocol != "1.0"
            chosen = {s: p for s, p in streams.items() if (re.search(expression, s) if use_own else self._wants(p[0]))}
            more = f'<StreamList TotalStreams="{len(streams)}" SelectedStreams="{len(chosen)}">'
            for sid, each in chosen.items():
                more += f'<Stream Name="{sid.decode()}" EarliestPacketID="{each[0].id}" LatestPacketID="{each[-1].id}" '
                more += f'EarliestPacketDataStartTime="{iso(each[0].start_us)}" DataLatency="0.5" '
                more += f'LatestPacketDataEndTime="{iso(each[-1].end_us)}"/>'
            more += "</StreamList>"
        elif kind == "CONNECTIONS":
            more = '<ConnectionList TotalConnections="1" SelectedConnections="1"><Connection Type="DataLink" '
            more += f'IP="127.0.0.1" Port="1" ClientID="{self.client_id}" TXPacketCount="3" RXPacketCount="1" '
            more += 'Host="localhost" ConnectionTime="2026-03-01T00:00:00Z" Match="-" Reject="-" PacketID="0"/>'
            more += "</ConnectionList>"
        capabilities = f"DLPROTO:{self.rules.protocol} PACKETSIZE:{self.rules.packet_size}"
        head = f'Version="test" ServerID="{self.rules.server_id}" Capabilities="{capabilities}"'
        return f"<DataLink {head}>{status}{more}</DataLink>"


def iso(time_us: int) -> str:
    seconds, rest = divmod(time_us, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"
