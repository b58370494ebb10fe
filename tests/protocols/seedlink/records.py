"""Records by the layout of miniSEED, made without the product: each with a header of its own."""

import struct


def record_2(
    station: str = "AAA",
    network: str = "XX",
    *,
    order: str = ">",
    length_bytes: int = 512,
    blockettes: tuple[int, ...] = (1000,),
    encoding: int = 3,
    year: int = 2026,
    says_bytes: int | None = None,
    fill: bytes = b"\0",
) -> bytes:
    """Return a record of miniSEED 2 with these blockettes, each of eight bytes."""
    head = b"000001D " + station.encode().ljust(5) + b"00HHZ" + network.encode().ljust(2)
    head += struct.pack(f"{order}HHBBBBH", year, 1, 0, 0, 0, 0, 0)
    head += struct.pack(f"{order}HhhBBBBiHH", 100, 100, 1, 0, 0, 0, len(blockettes), 0, 64, 48 if blockettes else 0)
    exponent = (length_bytes if says_bytes is None else says_bytes).bit_length() - 1
    for at, kind in enumerate(blockettes):
        following = 48 + 8 * (at + 1) if at + 1 < len(blockettes) else 0
        body = struct.pack("BBBB", encoding, order == ">", exponent, 0) if kind == 1000 else bytes(4)
        head += struct.pack(f"{order}HH", kind, following) + body
    return head.ljust(length_bytes, fill)


def record_3(identifier: str = "FDSN:XX_AAA_00_H_H_Z", data_bytes: int = 4) -> bytes:
    """Return a record of miniSEED 3."""
    head = b"MS\x03\0" + struct.pack("<IHHBBBB", 0, 2026, 1, 0, 0, 0, 3)
    head += struct.pack("<dIIBBHI", 100.0, 1, 0, 1, len(identifier), 2, data_bytes)
    return head + identifier.encode() + b"{}" + bytes(data_bytes)
