"""What the publisher's tests of a real pipe do not reach."""

import os
from pathlib import Path

import pytest

from rawdaq.errors import ComponentError
from rawdaq.pipe_end import PipeEnd
from rawdaq.protocols.plugin_pipe import ATOMIC_BYTES


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


def test_an_empty_pipe_takes_at_once_all_that_it_holds_and_then_small_pieces_only() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    end = PipeEnd(writer, None)
    end.open()
    try:
        size_bytes = end.piece_bytes
        assert size_bytes > ATOMIC_BYTES
        assert end.write_now(bytes(size_bytes))
        assert end.written_bytes == size_bytes
        assert end.piece_bytes == ATOMIC_BYTES
        assert not end.write_now(b"more")
        while size_bytes:
            size_bytes -= len(os.read(reader, size_bytes))
        assert end.piece_bytes > ATOMIC_BYTES
    finally:
        end.close()
        os.close(reader)
        os.close(writer)


def test_what_is_no_pipe_is_written_in_small_pieces(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "frames", os.O_WRONLY | os.O_CREAT)
    os.set_inheritable(fd, True)
    end = PipeEnd(fd, None)
    end.open()
    assert end.piece_bytes == ATOMIC_BYTES
    end.close()
    os.close(fd)
