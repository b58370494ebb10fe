"""Pipes that are not there, are closed, or come back."""

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.seedlink_pipe.publisher import SeedLinkPluginPublisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.seedlink_plugin import PipeClosed
from tests.helpers import until
from tests.makers import packet
from tests.pipe_server import PipeServer
from tests.publishers.pipe_publishers import FULL_BYTES, opened


@pytest.mark.parametrize("mode", ["mseed", "raw"])
async def test_a_closed_pipe_ends_the_component_with_an_error(server: PipeServer, mode: Any) -> None:
    class Source(ReceiverServer):
        def __init__(self) -> None:
            super().__init__("", 0, [SeedLinkPluginPublisher(mode, server.fd, flush_each_packet=True)], "Source")
            self._setup = True

        async def ct_samples(self) -> None:
            for index in range(10_000):
                await self.publish(packet(index))
                if index == 3:
                    await until(server.read)
                    server.stop()
                await asyncio.sleep(0)

    with pytest.raises(ComponentError, match=r"Source stopped: the SeedLink server has closed the pipe \(descriptor"):
        await Source().serve()
    assert len(server.frames) >= 1


async def test_a_pipe_that_is_closed_while_it_is_full_ends_the_delivery(server: PipeServer) -> None:
    async with opened(server, mode="raw") as publisher:
        delivering = asyncio.ensure_future(publisher.deliver([packet(index) for index in range(500)]))
        await until(lambda: server.waiting_bytes > FULL_BYTES)
        server.stop()
        with pytest.raises(PipeClosed, match="closed the pipe"):
            await delivering


async def test_another_trouble_of_the_pipe_ends_the_component_too(
    server: PipeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with opened(server, mode="raw") as publisher:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refuse)
            with pytest.raises(ComponentError, match=r"cannot write to descriptor \d+: No space left on device"):
                await publisher.deliver([packet()])


async def test_a_named_pipe_pauses_until_somebody_reads_and_goes_on_with_the_next_reader(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    async with opened(mode="raw", pipe=path) as publisher:
        with pytest.raises(PublisherUnavailable, match=r"no program reads .*pipe; start the one that does"):
            await publisher.deliver([packet(0)])
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        await publisher.deliver([packet(0)])
        assert len(os.read(reader, 10_000)) == 460
        os.close(reader)
        with pytest.raises(PublisherUnavailable, match="is not read any more") as caught:
            await publisher.deliver([packet(1)])
        assert caught.value.delivered == 0
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        await publisher.deliver([packet(1)])
        assert len(os.read(reader, 10_000)) == 460
        assert publisher.status()["pipe"] == str(path)
        os.close(reader)


async def test_what_a_vanished_reader_had_taken_is_not_offered_again(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    async with opened(mode="raw", pipe=path) as publisher:
        delivering = asyncio.ensure_future(publisher.deliver([packet(index) for index in range(1000)]))
        await until(lambda: publisher._pipe.written_bytes > FULL_BYTES)
        os.close(reader)
        with pytest.raises(PublisherUnavailable) as caught:
            await delivering
        assert caught.value.delivered * 460 == publisher.status()["written_bytes"]


async def test_without_a_pipe_it_does_not_open(tmp_path: Path) -> None:
    with socket.socket() as unconnected:
        os.set_inheritable(unconnected.fileno(), True)
        with pytest.raises(InvalidValue, match="is neither a pipe nor a file"):
            await SeedLinkPluginPublisher(fd=unconnected.fileno()).open()
        closed = os.dup(unconnected.fileno())
    os.close(closed)
    with pytest.raises(InvalidValue, match=rf"descriptor {closed} is not open; let seedlink start this program"):
        await SeedLinkPluginPublisher(fd=closed).open()
    with PipeServer() as server:
        with pytest.raises(InvalidValue, match="is open for reading only"):
            await SeedLinkPluginPublisher(fd=server._read_fd).open()
        os.set_inheritable(server.fd, False)
        with pytest.raises(InvalidValue, match="belongs to this program itself; let seedlink start it"):
            await SeedLinkPluginPublisher(fd=server.fd).open()
    (tmp_path / "plain").touch()
    for name, text in (("absent", "No such file or directory; mkfifo makes it"), ("plain", "is no named pipe")):
        with pytest.raises(ComponentError, match=text):
            await SeedLinkPluginPublisher(pipe=tmp_path / name).open()


async def test_frames_can_go_to_a_plain_file_for_a_test(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "frames", os.O_WRONLY | os.O_CREAT)
    os.set_inheritable(fd, True)
    async with opened(mode="raw", fd=fd) as publisher:
        await publisher.deliver([packet()])
    os.close(fd)
    assert (tmp_path / "frames").stat().st_size == 460
