"""What the publisher's tests of a real pipe do not reach."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import ComponentError
from rawdaq.protocols.plugin_pipe.writer import ATOMIC_BYTES
from rawdaq.publishers.seedlink_pipe.pipe_end import PipeEnd


async def test_a_file_that_takes_only_a_part_at_a_time_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = os.open(tmp_path / "frames", os.O_WRONLY | os.O_CREAT)
    os.set_inheritable(fd, True)
    end = PipeEnd(fd, None)
    end.open()
    write = os.write

    def write_three(fd: int, data: memoryview) -> int:
        return write(fd, data[:3])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_three)
        await end.write(b"0123456789")
    end.close()
    os.close(fd)
    assert os.stat(tmp_path / "frames").st_size == 10
    assert end.written_bytes == 10


def test_a_named_pipe_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ComponentError, match="pipe: Permission denied"):
        PipeEnd(63, tmp_path / "pipe").open()


@contextlib.contextmanager
def pipe() -> Generator[tuple[PipeEnd, int]]:
    """The writing end of a pipe, open, and the descriptor that reads it."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    os.set_blocking(reader, False)
    end = PipeEnd(writer, None)
    end.open()
    yield end, reader
    end.close()
    os.close(reader)
    os.close(writer)


def read(fd: int, size_bytes: int) -> None:
    while size_bytes:
        size_bytes -= len(os.read(fd, size_bytes))


def test_an_empty_pipe_takes_at_once_all_that_it_holds_and_a_full_one_small_pieces_only() -> None:
    with pipe() as (end, reader):
        size_bytes = end.piece_bytes
        assert size_bytes > ATOMIC_BYTES
        assert end.write_now(bytes(size_bytes))
        assert end.written_bytes == size_bytes
        assert end.piece_bytes == ATOMIC_BYTES
        assert not end.write_now(b"more")
        read(reader, size_bytes)
        assert end.piece_bytes == size_bytes


@given(st.lists(st.tuples(st.integers(1, ATOMIC_BYTES), st.integers(0, 3000)), max_size=40))
def test_a_pipe_in_use_takes_whole_what_it_is_said_to_take(steps: list[tuple[int, int]]) -> None:
    with pipe() as (end, reader):
        unread_bytes = 0
        for written_bytes, read_bytes in steps:
            if not end.write_now(bytes(written_bytes)):
                break
            unread_bytes += written_bytes
            read(reader, taken := min(read_bytes, unread_bytes))
            unread_bytes -= taken
        piece_bytes = end.piece_bytes
        before = end.written_bytes
        if piece_bytes > ATOMIC_BYTES:
            assert end.write_now(bytes(piece_bytes))
            assert end.written_bytes - before == piece_bytes
