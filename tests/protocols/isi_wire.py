"""What the tests of ISI's codec share: frames made without it, and a session that was captured."""

import struct
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Receiver(Protocol[T_co]):
    def receive_data(self, data: bytes) -> Iterator[T_co]: ...


def receive(peer: Receiver[T_co], data: bytes, size: int = 0) -> list[T_co]:
    """Return what *data*, in pieces of *size* bytes (0: whole), completes."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return [event for piece in pieces for event in peer.receive_data(piece)]


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return *data* in pieces of *sizes*, and the rest."""
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def framed(kind: int, payload: bytes = b"", number: int = 0, signature: bytes = b"") -> bytes:
    """Return a frame, made without the codec."""
    head = struct.pack(">4s3I", b"IACP", number, kind, len(payload))
    return head + payload + struct.pack(">2I", 7 if signature else 0, len(signature)) + signature


def hexed(text: str) -> bytes:
    """Return the bytes of lines as people write them, ``|`` between fields."""
    return bytes.fromhex(text.replace("|", " "))


GREETING = hexed(
    """49 41 43 50 00 00 00 00 00 00 00 01 00 00 00 34
    00 00 00 04 | 00 00 00 02 00 00 00 04 00 00 4e 51 | 00 00 00 03 00 00 00 04 00 00 75 30
    00 00 00 04 00 00 00 04 00 00 00 00 | 00 00 00 05 00 00 00 04 00 00 00 00
    00 00 00 00 00 00 00 00"""
)
SERVER_GREETING = GREETING.replace(hexed("00 00 4e 51"), hexed("00 00 4e 26"))
PID, SERVER_PID = 0x4E51, 0x4E26

REQUEST_HEALTH = hexed("49 41 43 50 00 00 00 01 00 00 03 e9 00 00 00 00 00 00 00 00 00 00 00 00")
HEALTH = hexed(
    """63 6f 63 6f 00 00 00 62 68 7a 32 30
    41 cf dd 45 b8 00 00 00 80 00
    41 cf dd ee 78 40 00 00 80 00
    40 08 00 00 00 00 00 00 00 00 00 02 00 05 74 e8"""
)
HEALTH_FRAME = hexed("49 41 43 50 00 00 00 01 00 00 03 f1 00 00 00 30") + HEALTH + hexed("00 00 00 00 00 00 00 00")
EMPTY_HEALTH = b"pfo\0\0\0\0lhz  " + 2 * hexed("bf f0 00 00 00 00 00 00 80 00") + bytes(16)
HEARTBEAT = hexed("49 41 43 50 00 00 00 02 00 00 00 65 00 00 00 00 00 00 00 00 00 00 00 00")
NULL = hexed("49 41 43 50 00 00 00 06 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00")
ALERT_COMPLETE = hexed("49 41 43 50 00 00 00 07 00 00 00 64 00 00 00 04 00 00 00 02 00 00 00 00 00 00 00 00")

REQUEST_CONFIGURATION = hexed("49 41 43 50 00 00 00 01 00 00 03 ea 00 00 00 00 00 00 00 00 00 00 00 00")
CONFIGURATION = hexed(
    """63 6f 63 6f 00 00 00 62 68 7a 32 30 00 28 00 01
    c1 43 0a a6 42 c1 ab 78 40 40 00 00 42 8c 00 00
    00 00 00 00 bf 80 00 00 c4 79 f9 9a c4 79 f9 9a
    2d 00 00 00 00 00 00"""
)
CONFIGURATION_FRAME = hexed("49 41 43 50 00 00 00 01 00 00 03 f3 00 00 00 37") + CONFIGURATION + bytes(8)

WINDOW = hexed("63 6f 63 6f 00 00 00 2a 00 e9 2a 00 | 41 cf dd 44 28 00 00 00 41 cf dd 59 40 00 00 00")
DATA_REQUEST = (
    hexed("49 41 43 50 00 00 00 01 00 00 03 ec 00 00 00 04 | 00 00 00 01 | 00 00 00 00 00 00 00 00")
    + hexed("49 41 43 50 00 00 00 02 00 00 03 ed 00 00 00 04 | 00 00 00 01 | 00 00 00 00 00 00 00 00")
    + hexed("49 41 43 50 00 00 00 03 00 00 03 ee 00 00 00 04 | 00 00 00 02 | 00 00 00 00 00 00 00 00")
    + hexed("49 41 43 50 00 00 00 04 00 00 03 ef 00 00 00 1c")
    + WINDOW
    + bytes(8)
    + hexed("49 41 43 50 00 00 00 05 00 00 00 00 00 00 00 04 | 00 00 00 00 | 00 00 00 00 00 00 00 00")
)
PACKET_HEAD = hexed(
    """63 6f 63 6f 00 00 00 62 68 7a 32 30 00 28 00 01
        41 cf dd 45 b8 00 00 00 00 01
        41 cf dd 45 b8 16 66 66 00 01"""
) + bytes(16)
PLAIN_PACKET = PACKET_HEAD + hexed(
    """00 00 00 08 00 00 00 20 01 03 01 04
    00 00 00 64 00 00 00 65 00 00 00 63 00 00 00 a2 00 00 00 62 ff ff fc 18 00 01 86 a0 00 01 86 a0"""
)
IDA_PACKET = PACKET_HEAD + hexed(
    """00 00 00 08 00 00 00 0d 02 03 01 04
    c8 01 02 05 7e 81 01 95 11 90 aa 0c 00"""
)
PACKET_FRAME = hexed("49 41 43 50 00 00 00 07 00 00 03 f4 00 00 00 60") + PLAIN_PACKET + bytes(8)
SAMPLES = [100, 101, 99, 162, 98, -1000, 100000, 100000]
START_NS, END_NS = 1_069_190_000_000_000_000, 1_069_190_000_175_000_000
