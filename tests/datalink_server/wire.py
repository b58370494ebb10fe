"""One connection: what came, what is to go, cuts at a given byte, WebSocket frames made and read by hand."""

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import struct
from dataclasses import dataclass

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OUT_LIMIT = 1 << 20


class Refuse(Exception):
    """The connection is closed without a word."""


@dataclass
class Cut:
    """When a connection is cut.

    Attributes:
        received: after so many bytes that the client sent, which are still worked on; None: never.
        sent: after so many bytes that were sent.
        with_reset: so that what is on the way is lost, too.
    """

    received: int | None = None
    sent: int | None = None
    with_reset: bool = False


class Wire:
    """A connection of the server."""

    def __init__(self, sock: socket.socket, cut: Cut, read_bytes: int) -> None:
        self.sock = sock
        self.cut = cut
        self.buffer = b""
        self.out = bytearray()
        self.received = self.sent = 0
        self.is_ws: bool | None = None  # not known yet
        self.closing = False
        self.messages: list[bytes] = []
        self._read_bytes = read_bytes
        self._frames = b""

    def read(self) -> bool:
        """Take what came, at most what ringserver's buffer holds; return whether the client is still there."""
        limit = max(1, self._read_bytes - len(self.buffer))
        if self.cut.received is not None:
            limit = min(limit, self.cut.received - self.received)
        if limit == 0:
            return False
        try:
            data = self.sock.recv(limit)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        self.received += len(data)
        if self.is_ws is None and len(self._frames + data) >= 3:
            self.is_ws = (self._frames + data)[:3] == b"GET"
            data, self._frames = self._frames + data, b""
        if self.is_ws is None:
            self._frames += data
        elif self.is_ws:
            self._take_frames(data)
        else:
            self.buffer += data
        return bool(data)

    @property
    def is_cut(self) -> bool:
        """Whether it is time to cut."""
        return (self.cut.received is not None and self.received >= self.cut.received) or (
            self.cut.sent is not None and self.sent >= self.cut.sent
        )

    def write(self, packet: bytes) -> None:
        """Queue one packet."""
        if self.is_ws:
            size = len(packet)
            head = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)
            packet = b"\x82" + (head if size < 65536 else b"\x7f" + struct.pack(">Q", size)) + packet
        self.out += packet

    def end(self) -> None:
        """Close when all that is queued is sent."""
        if self.is_ws and not self.closing:
            self.out += b"\x88\x02\x03\xe8"
        self.closing = True

    def flush(self) -> bool:
        """Send what can be sent; return whether the client is still there."""
        while self.out:
            piece = bytes(self.out[: 1 << 16])
            if self.cut.sent is not None:
                piece = piece[: self.cut.sent - self.sent]
            if not piece:
                return False
            try:
                done = self.sock.send(piece)
            except (BlockingIOError, ssl.SSLWantWriteError):
                return True
            except OSError:
                return False
            self.sent += done
            del self.out[:done]
        return True

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError):
            if self.cut.with_reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _take_frames(self, data: bytes) -> None:
        self._frames += data
        if not self.messages and b"\r\n\r\n" in self._frames and self._frames.startswith(b"GET"):
            self._upgrade()
        while (frame := self._frame()) is not None:
            first, payload = frame
            if first & 15 == 8:
                self.out += bytes([0x88, len(payload)]) + payload
                self.closing = True
            elif first & 15 == 9:
                self.out += bytes([0x8A, len(payload)]) + payload
            elif first & 15 == 10:
                continue
            elif not first & 0x80:
                raise Refuse  # fragments
            else:
                self.messages.append(payload)

    def _upgrade(self) -> None:
        head, _, self._frames = self._frames.partition(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        if not re.match(rb"(?i)GET /datalink(\?\S*)? HTTP/1.1", head) or key is None:
            self.out += b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self.closing = True
            return
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        offered = re.search(rb"(?i)sec-websocket-protocol: *(.*)", head)
        known = [name for name in (b"DataLink1.1", b"DataLink1.0") if offered and name in offered[1]]
        protocol = b"Sec-WebSocket-Protocol: " + known[0] + b"\r\n" if known else b""
        self.out += (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n"
            b"Content-Type: text/plain\r\nSec-WebSocket-Accept: " + accept + b"\r\n" + protocol + b"\r\n"
        )

    def _frame(self) -> tuple[int, bytes] | None:
        """Return the first byte and the payload of the next frame."""
        data = self._frames
        if len(data) < 2 or data.startswith(b"GET"):
            return None
        size, at = data[1] & 127, 2
        if size > 125:
            size_bytes = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + size_bytes], "big"), 2 + size_bytes
        if size > self._read_bytes:
            raise Refuse
        mask = data[at : at + 4] if data[1] & 128 else bytes(4)
        at += 4 if data[1] & 128 else 0
        if len(data) < at + size:
            return None
        payload = data[at : at + size]
        mask_all = (mask * (size // 4 + 1))[:size] if size else b""
        plain = (int.from_bytes(payload, "big") ^ int.from_bytes(mask_all, "big")).to_bytes(size, "big")
        self._frames = data[at + size :]
        return data[0], plain
