"""Checksums: those of zlib, whatever library makes them and in however many pieces."""

import zlib

import pytest

from rawdaq.store.format.checksum import crc32, crc32_at_once


@pytest.mark.parametrize("size", [0, 1, 5119, 5120, 5121, 10_241, 81_920, 81_921, 1_000_000])
def test_are_those_of_zlib(size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    assert crc32(data) == crc32_at_once(memoryview(data)) == zlib.crc32(data)
