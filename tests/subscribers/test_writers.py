"""ssdaq's writers: what is published is in files, each once, whatever happens to the disk."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.subscribers import AsyncSubscriber, AsyncWriterSubscriber, BasicSubscriber, WriterSubscriber, writers
from tests.helpers import until, wait_for
from tests.subscribers.test_subscribers import Publisher, publisher

__all__ = ["publisher"]


class LineWriter:
    """A writer of a user's: a file of lines, buffered."""

    refuses = False

    def __init__(self, filename: str) -> None:
        self._file = open(filename, "wb")

    def write(self, data: bytes) -> None:
        if self.refuses:
            raise OSError(28, os.strerror(28))
        self._file.write(data + b"\n")

    def close(self) -> None:
        self._file.close()


def options(port: int, folder: Path, **more: Any) -> dict[str, Any]:
    return {"file_prefix": "Run", "ip": "127.0.0.1", "port": port, "writer": LineWriter, "file_ext": ".txt",
            "name": "Lines", "folder": folder, "file_enumerator": "order"} | more  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class ByRun(WriterSubscriber):
    def data_cond(self, data: bytes) -> bool:
        return data == b"begin"


def test_a_thread_writes_what_is_published(publisher: Publisher, tmp_path: Path) -> None:
    writer = ByRun(subscriber=BasicSubscriber, **options(publisher.port, tmp_path / "data"))
    assert (writer.filename, writer.file_counter) == (None, 0)
    writer.start()
    publisher.wait()
    publisher.send(b"begin", b"1", b"begin", b"2")
    wait_for(lambda: writer.data_counter == 4)
    assert writer.filename == str(tmp_path / "data" / "Run_002.txt.part")
    writer.close()
    writer.close()
    assert files(tmp_path / "data") == {"Run_001.txt": b"begin\n1\n", "Run_002.txt": b"begin\n2\n"}
    assert (writer.file_counter, writer.filename) == (2, str(tmp_path / "data" / "Run_002.txt"))


def test_files_are_no_larger_than_their_limit(publisher: Publisher, tmp_path: Path) -> None:
    limit = 1000 / (1 << 20)
    writer = WriterSubscriber(subscriber=BasicSubscriber, **options(publisher.port, tmp_path, filesize_lim=limit))
    writer.start()
    publisher.wait()
    publisher.send(*[bytes(99)] * 25)
    wait_for(lambda: writer.data_counter == 25)
    writer.close(non_block=True)
    writer.join(30)
    assert [len(data) for data in files(tmp_path).values()] == [1000, 1000, 500]
    with pytest.raises(InvalidValue, match="give file_enumerator"):
        WriterSubscriber(subscriber=BasicSubscriber, **options(1, tmp_path, filesize_lim=1, file_enumerator=None))


def test_a_disk_that_refuses_keeps_the_objects_until_it_takes_them(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writers, "_RETRY_S", 0.01)
    writer = WriterSubscriber(subscriber=BasicSubscriber, **options(publisher.port, tmp_path))
    writer.start()
    publisher.wait()
    monkeypatch.setattr(LineWriter, "refuses", True)
    publisher.send(b"1", b"2", b"3")
    wait_for(lambda: "nothing is written" in caplog.text)
    monkeypatch.setattr(LineWriter, "refuses", False)
    wait_for(lambda: writer.data_counter == 3)
    monkeypatch.setattr(LineWriter, "refuses", True)
    publisher.send(b"4", b"5")
    wait_for(lambda: writer._subscriber.received == 5)
    with pytest.raises(ComponentError, match=r"2 objects were not written: .*free space on that disk"):
        writer.close()
    writer.close()
    assert files(tmp_path) == {"Run_001.txt": b"1\n2\n3\n"}


def test_a_close_before_the_start_is_fine(tmp_path: Path) -> None:
    writer = WriterSubscriber(subscriber=BasicSubscriber, **options(1, tmp_path))
    writer.close()
    assert files(tmp_path) == {}


async def test_a_loop_writes_what_is_published(publisher: Publisher, tmp_path: Path) -> None:
    writer = AsyncWriterSubscriber(subscriber=AsyncSubscriber, **options(publisher.port, tmp_path))
    await publisher.until_subscribed()
    publisher.send(*[b"%d" % number for number in range(3000)])
    await until(lambda: writer.data_counter > 0)
    assert writer.loop is asyncio.get_running_loop()
    await until(lambda: writer._subscriber.received == 3000)
    await writer.close()
    await writer.close()
    assert files(tmp_path) == {"Run_001.txt": b"".join(b"%d\n" % number for number in range(3000))}


async def test_a_loop_says_what_it_could_not_write(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writers, "_RETRY_S", 0.01)
    monkeypatch.setattr(LineWriter, "refuses", True)
    writer = AsyncWriterSubscriber(subscriber=AsyncSubscriber, **options(publisher.port, tmp_path))
    await publisher.until_subscribed()
    publisher.send(b"1")
    await until(lambda: "nothing is written" in caplog.text)
    publisher.send(b"2", b"3")
    await until(lambda: writer._subscriber.received == 3)
    with pytest.raises(ComponentError, match="3 objects were not written"):
        await writer.close()
    await writer.close(hard=True)


async def test_a_writer_that_cannot_be_made_leaves_no_file(publisher: Publisher, tmp_path: Path) -> None:
    class Broken(LineWriter):
        def __init__(self, filename: str) -> None:
            raise OSError(13, os.strerror(13))

    writer = AsyncWriterSubscriber(subscriber=AsyncSubscriber, **options(publisher.port, tmp_path, writer=Broken))
    await publisher.until_subscribed()
    publisher.send(b"1")
    await until(lambda: writer._subscriber.received)
    with pytest.raises(ComponentError, match="let this user write there"):
        await writer.close()
    assert files(tmp_path) == {}
