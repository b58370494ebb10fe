"""Memory to read into: nothing is overwritten, blocks follow the load."""

import mmap
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.sockets.buffers import FIRST_BYTES, MAX_BYTES, ReadBlocks


def read(blocks: ReadBlocks, data: bytes) -> memoryview:
    """Do what a socket does that has *data*."""
    room = blocks.free()
    size_bytes = min(len(room), len(data))
    room[:size_bytes] = data[:size_bytes]
    return blocks.take(size_bytes)


def room_when_full(blocks: ReadBlocks, reads: int) -> int:
    """Return the room after so many *reads* that each took all there was."""
    for _ in range(reads):
        blocks.take(len(blocks.free()))
    return len(blocks.free())


@given(st.lists(st.integers(1, 3 * FIRST_BYTES), max_size=40))
def test_nothing_that_was_read_is_overwritten(sizes: list[int]) -> None:
    blocks = ReadBlocks()
    chunks = [read(blocks, bytes([index]) * size) for index, size in enumerate(sizes)]
    for index, chunk in enumerate(chunks):
        assert chunk.tobytes() == bytes([index]) * len(chunk)


def test_there_is_always_room() -> None:
    blocks = ReadBlocks()
    for size_bytes in (FIRST_BYTES - 1, 1, FIRST_BYTES, FIRST_BYTES - 4095):
        assert len(read(blocks, bytes(size_bytes))) > 0
    assert len(blocks.free()) >= 4096


def test_blocks_grow_to_their_limit_while_reads_fill_them() -> None:
    assert room_when_full(ReadBlocks(), 1) < MAX_BYTES
    assert room_when_full(ReadBlocks(), 2) == MAX_BYTES
    assert room_when_full(ReadBlocks(), 5) == MAX_BYTES


def test_blocks_shrink_again_when_little_comes() -> None:
    blocks = ReadBlocks()
    largest = room_when_full(blocks, 3)
    for _ in range(2 * largest // 4095):
        read(blocks, bytes(4095))
    assert len(blocks.free()) <= FIRST_BYTES


def test_a_connection_that_became_quiet_gives_its_large_block_back() -> None:
    blocks = ReadBlocks()
    room_when_full(blocks, 3)
    for _ in range(8):
        read(blocks, b"little")
    assert len(blocks.free()) == FIRST_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what was given back")
def test_what_was_read_of_a_large_block_does_not_keep_the_rest_of_it() -> None:
    blocks = ReadBlocks()
    room_when_full(blocks, 3)
    room = blocks.free()
    room[:] = b"x" * len(room)
    chunks = [read(blocks, b"little") for _ in range(8)]
    assert len(blocks.free()) == FIRST_BYTES  # of the next block
    assert {chunk.tobytes() for chunk in chunks} == {b"little"}
    assert room[mmap.PAGESIZE :].tobytes() == bytes(len(room) - mmap.PAGESIZE)


@pytest.mark.parametrize("reads", [0, 3])
def test_what_was_read_cannot_be_written_to(reads: int) -> None:
    blocks = ReadBlocks()
    room_when_full(blocks, reads)
    chunk = read(blocks, b"abc")
    with pytest.raises(TypeError):
        chunk[0] = 0


def test_a_view_keeps_its_block() -> None:
    blocks = ReadBlocks()
    room_when_full(blocks, 3)
    chunk = read(blocks, b"kept")
    del blocks
    assert chunk.tobytes() == b"kept"
