"""The bytes of a container: objects and blocks round trip, and what was changed is found."""

import json
import struct
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.container.errors import BlockDamaged, CompressionMissing, ContainerTooNew, NotContainer
from rawdaq.container.format import compression
from rawdaq.container.format.blocks import pack_block, unpack_block
from rawdaq.container.format.compression import CompressionChoice, chosen, compressor
from rawdaq.container.format.layout import (
    BLOCK_HEADER_BYTES,
    MAX_OBJECT_BYTES,
    BlockHeader,
    Compression,
    Entry,
    FileHeader,
    footer_offset,
    pack_file_header,
    pack_footer,
    unpack_footer,
    unpack_info,
)
from rawdaq.container.format.objects import Encoded, Item, decode, encode
from rawdaq.errors import InvalidValue
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from tests.container.files import CREATED_NS, ITEMS, MULTIPART, event, same
from tests.makers import START_NS, packet


@pytest.mark.parametrize("item", [*ITEMS, MULTIPART], ids=lambda item: type(item).__name__)
def test_an_object_and_its_bytes_are_the_same_thing(item: Item) -> None:
    assert same(decode(encode(item, 5).data), item)


def test_an_object_has_the_time_that_it_has_itself() -> None:
    assert encode(b"", 5).time_ns == 5
    assert encode(MULTIPART, 5).time_ns == 5
    assert encode(packet(1, 100), 5).time_ns == START_NS + 1_000_000_000
    assert encode(event(3), 5).time_ns == CREATED_NS + 3_000_000_000
    assert encode(Message("~log", {"received_ns": 7}), 5).time_ns == 7
    assert encode(Message("~log", {"time_ns": None}), 5).time_ns == 5
    assert encode(Message("~log", {"time_ns": 1 << 70}), 5).time_ns == 5


@given(st.lists(st.one_of(st.binary(max_size=50), st.builds(event, st.integers(0, 99), st.binary(max_size=9)))))
def test_a_block_holds_what_was_put_into_it(items: list[Item]) -> None:
    encoded = [encode(item, 5) for item in items]
    for kind in Compression:
        data = pack_block(encoded, 3, 30, kind, compressor(kind))
        header = BlockHeader.unpack(data[:BLOCK_HEADER_BYTES])
        assert header is not None
        assert (header.number, header.first, header.objects, header.size_bytes) == (3, 30, len(items), len(data))
        block = unpack_block(header, data[BLOCK_HEADER_BYTES:])
        assert [decode(each) for each in block.objects] == items
        assert list(block.times_ns) == [each.time_ns for each in encoded]


@given(
    st.sampled_from(["int8", "int16", "int32", "float32", "float64"]),
    st.binary(max_size=80),
    st.integers(0, 1 << 60),
    st.one_of(st.none(), st.integers(0, 100)),
)
def test_every_packet_comes_back(kind: str, data: bytes, start_ns: int, quality: int | None) -> None:
    dtype = np.dtype(kind).newbyteorder("<")
    samples = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    given_packet = Packet(StreamId("XX", "A", "", "HHZ"), start_ns, 62.5, samples, quality)
    found = decode(encode(given_packet, 0).data)
    assert isinstance(found, Packet)
    assert (found.start_ns, found.rate_hz, found.timing_quality) == (start_ns, 62.5, quality)
    assert found.samples.tobytes() == samples.tobytes()


def _head(kind: int, head: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<BI", kind, len(head)) + head + payload


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\0", "object of 2 bytes"),
        (struct.pack("<BI", 0, 9), "header has 9 bytes"),
        (struct.pack("<BI", 0, 1 << 30), "header has 1073741824 bytes"),
        (_head(99, b""), "kind 99, which this rawdaq does not know"),
        (_head(1, b"[]"), "packet: "),
        (_head(1, b"{}"), "packet: "),
        (_head(1, encode(packet(0, 2), 0).data[5:-8]), "packet: "),
        (_head(1, encode(packet(0, 0), 0).data[5:-1] + b',"marks":[1]}'), "marks"),
        (_head(2, b"{"), "not JSON"),
        (_head(2, b"[" * 90000), "not JSON"),
        (_head(2, b"{}"), r"not \[topic, object\]"),
        (_head(2, b'["nothing",{}]'), "topic"),
        (_head(3, b"{}"), "no numbers"),
        (_head(3, b'{"lengths":[-1]}'), "no numbers"),
        (_head(3, b'{"lengths":[1]}'), "0 bytes, not 1"),
        (_head(3, b'{"lengths":[],"header_part":1}'), "no part 1"),
        (_head(3, b'{"lengths":[],"header_part":0,"frame":"x"}'), "no number"),
        (_head(3, b'{"lengths":[1],"header_part":0,"frame":0,"json":true}', b"x"), "not JSON"),
    ],
)
def test_an_object_that_cannot_be_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BlockDamaged, match=reason):
        decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    try:
        item = decode(data)
    except BlockDamaged:
        return
    assert same(decode(encode(item, 0).data), item)


def test_what_no_container_holds_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no int"):
        encode(3, 0)  # type: ignore[arg-type]  # users have anything
    with pytest.raises(InvalidValue, match="limit is"):
        encode(bytes(MAX_OBJECT_BYTES), 0)


def _block(raw: bytes, objects: int, kind: Compression = Compression.NONE, raw_bytes: int | None = None) -> BlockHeader:
    return BlockHeader(kind, 0, 0, objects, len(raw), len(raw) if raw_bytes is None else raw_bytes, crc32(raw))


ZSTD, ZLIB = (compressor(kind)(bytes(99)) for kind in (Compression.ZSTD, Compression.ZLIB))


@pytest.mark.parametrize(
    ("header", "stored", "reason"),
    [
        (_block(b"abc", 0), b"abd", "its crc does not fit"),
        (_block(b"abc", 0), b"ab", "its crc does not fit"),
        (_block(b"abc", 0, raw_bytes=4), b"abc", "has 3 bytes, not 4"),
        (_block(b"abc", 1), b"abc", "1 objects do not fit"),
        (_block(b"abc", 0), b"abc", "lengths"),
        (_block(struct.pack("<Iq", 9, 0), 1), struct.pack("<Iq", 9, 0), "lengths"),
        (_block(b"abc", 0, Compression.ZLIB), b"abc", "cannot be decompressed"),
        (_block(b"abc", 0, Compression.ZSTD), b"abc", "cannot be decompressed"),
        (_block(ZSTD, 0, Compression.ZSTD, 3), ZSTD, "announces 99 bytes, not 3"),
        (_block(ZLIB, 0, Compression.ZLIB, 3), ZLIB, "has 4 bytes, not 3"),
    ],
)  # fmt: skip
def test_a_body_that_does_not_fit_its_header_is_refused(header: BlockHeader, stored: bytes, reason: str) -> None:
    with pytest.raises(BlockDamaged, match=reason):
        unpack_block(header, stored)


def test_every_flipped_byte_of_a_header_is_found() -> None:
    header = BlockHeader(Compression.ZLIB, 5, 500, 10, 2000, 4000, 0xDEADBEEF).pack()
    for at in range(len(header)):
        for flip in (1, 0x80, 0xFF):
            assert BlockHeader.unpack(header[:at] + bytes([header[at] ^ flip]) + header[at + 1 :]) is None
    assert BlockHeader.unpack(header[:-1]) is None


@pytest.mark.parametrize("header", [
    BlockHeader(Compression.NONE, 0, 0, 1, 1, (1 << 28) + (1 << 20) + 1, 0),
    BlockHeader(Compression.NONE, 0, 0, 1, (1 << 32) - 1, 1, 0),
])  # fmt: skip
def test_a_block_that_announces_too_much_is_none(header: BlockHeader) -> None:
    assert BlockHeader.unpack(header.pack()) is None


def test_a_file_header_says_what_it_was_told() -> None:
    data = pack_file_header({"station": "XX.A"}, 17)
    header = FileHeader.unpack(data[:32])
    assert (header.created_ns, header.size_bytes) == (17, len(data))
    assert unpack_info(data[32:]) == {"station": "XX.A"}


def _file_header(version: int = 1, info_bytes: int = 0, flip: int = 0) -> bytes:
    head = struct.pack("<8sHHIQI", b"RDC1\r\n\x1a\0", version, 0, info_bytes, 0, 0)
    return head + struct.pack("<I", crc32(head) ^ flip)


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"PK\3\4" + bytes(40), NotContainer, "does not begin"),
        (_file_header()[:31], BlockDamaged, "damaged"),
        (_file_header(flip=1), BlockDamaged, "damaged"),
        (_file_header(version=2), ContainerTooNew, "version 2, this rawdaq reads up to 1"),
        (_file_header(info_bytes=1 << 30), BlockDamaged, "limit is"),
    ],
)
def test_a_wrong_file_header_is_refused(data: bytes, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        FileHeader.unpack(data)


@pytest.mark.parametrize("data", [b"", b"{}\0\0\0\0", b"[]" + struct.pack("<I", crc32(b"[]")),
                                  b"{" + struct.pack("<I", crc32(b"{"))])  # fmt: skip
def test_wrong_information_is_refused(data: bytes) -> None:
    with pytest.raises(BlockDamaged):
        unpack_info(data)


def test_a_footer_says_where_the_blocks_are_and_every_flipped_byte_is_found() -> None:
    entries = [Entry(40, 0, 0, 10, 1, 2), Entry(900, 1, 10, 5, -3, 7)]
    data = pack_footer(entries, 1000)
    assert footer_offset(data[-16:], 1000 + len(data)) == 1000
    assert unpack_footer(data, 1000) == entries
    assert unpack_footer(data, 1001) is None
    assert unpack_footer(b"", 0) is None
    for at in range(len(data)):
        assert unpack_footer(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], 1000) is None
    assert footer_offset(data[-15:], 2000) is None
    assert footer_offset(data[-16:], 1000) is None
    assert footer_offset(data[-16:-1] + b"x", 2000) is None


def test_without_its_library_zstd_is_told_and_not_chosen_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(CompressionChoice.AUTO) is chosen(CompressionChoice.ZSTD) is Compression.ZSTD
    data = pack_block([Encoded(0, b"\0" * 9)], 0, 0, Compression.ZSTD, compressor(Compression.ZSTD))
    header = BlockHeader.unpack(data[:BLOCK_HEADER_BYTES])
    assert header is not None
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    monkeypatch.setattr(compression, "find_spec", dict[str, object]().get)
    assert chosen(CompressionChoice.AUTO) is chosen(CompressionChoice.ZLIB) is Compression.ZLIB
    for fails in (
        lambda: chosen(CompressionChoice.ZSTD),
        lambda: compressor(Compression.ZSTD),
        lambda: unpack_block(header, data[BLOCK_HEADER_BYTES:]),
    ):
        with pytest.raises(CompressionMissing, match=r"pip install 'rawdaq\[zstd\]'"):
            fails()


def test_the_layout_in_the_documentation_is_that_of_the_code(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "container.md").read_text()
    example = text.partition("```hex\n")[2].partition("```")[0]
    data = bytes.fromhex("".join(line.partition("#")[0] for line in example.splitlines()))
    file_header = pack_file_header(json.loads('{"station":"XX.DEMO"}'), CREATED_NS)
    assert data.startswith(file_header)
    assert data[len(file_header) :] == pack_block(
        [encode(b"hello", CREATED_NS)], 0, 0, Compression.NONE, compressor(Compression.NONE)
    )
