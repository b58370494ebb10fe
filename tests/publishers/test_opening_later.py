"""Publishers of every kind open later when what they need is not there at the start."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rawdaq.disk import mounts
from rawdaq.publisher import Publisher
from rawdaq.publishers.jsonl import JsonLinesPublisher
from rawdaq.publishers.miniseed import MiniSeedPublisher
from rawdaq.publishers.raw_writer import RawWriter
from rawdaq.publishers.repeater import RepeaterPublisher
from rawdaq.publishers.repeater.modes import Mode
from rawdaq.publishers.seedlink_pipe import SeedLinkPluginPublisher
from tests.helpers import until
from tests.makers import packet
from tests.servers import Idle, serving, shown_publisher


class _Missing(NamedTuple):
    """A publisher that cannot open yet, what is said of it, and what cures it."""

    publisher: Publisher
    reason: str
    cure: Callable[[], object]


def _archive(folder: Path) -> _Missing:
    in_the_way = folder / "disk"
    in_the_way.touch()
    return _Missing(MiniSeedPublisher(in_the_way / "archive", name="it"), "Not a directory", in_the_way.unlink)


def _raw(folder: Path) -> _Missing:
    missing = folder / "disk"
    return _Missing(RawWriter(missing / "raw", "it"), "create the folder, or mount its disk", missing.mkdir)


def _jsonl(folder: Path) -> _Missing:
    state = folder / "state.json"
    state.write_text("no json\n")
    publisher = JsonLinesPublisher("%n.jsonl", folder=folder, state=state, name="it")
    return _Missing(publisher, "cannot use the state", state.unlink)


def _pipe(folder: Path) -> _Missing:
    pipe = folder / "pipe"
    return _Missing(SeedLinkPluginPublisher(pipe=pipe, name="it"), "mkfifo makes it", lambda: os.mkfifo(pipe))


def _repeater(folder: Path) -> _Missing:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    publisher = RepeaterPublisher(Mode.EVERY_NTH, 1, port=holder.getsockname()[1], name="it")
    return _Missing(publisher, "another program uses it", holder.close)


@pytest.mark.parametrize("make", [_archive, _raw, _jsonl, _pipe, _repeater])
async def test_what_is_missing_at_the_start_may_come_later(make: Callable[[Path], _Missing], tmp_path: Path) -> None:
    missing = make(tmp_path)
    server = Idle([missing.publisher])
    async with serving(server) as task:
        shown = shown_publisher(server, "it")
        assert shown["state"] == "paused"
        assert missing.reason in shown["paused_reason"]
        missing.cure()
        server.cmd_retry()
        await until(lambda: shown_publisher(server, "it")["state"] == "running")
    await task


@pytest.mark.parametrize("is_archive", [True, False])
async def test_a_disk_that_fstab_has_and_that_is_not_mounted_is_waited_for(
    is_archive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount_point = tmp_path / "the disk"
    mount_point.mkdir()
    fstab = tmp_path / "fstab"
    line = str(mount_point).replace(" ", "\\040")
    fstab.write_text(f"# a comment\nproc /proc proc\nUUID=1 none swap\nLABEL=data {line} ext4 defaults 0 2\n")
    monkeypatch.setattr(mounts, "_FSTAB", fstab)
    publisher = MiniSeedPublisher(mount_point / "archive", name="it", flush_after_s=0.0)
    server = Idle([publisher if is_archive else RawWriter(mount_point / "raw", "it")])
    async with serving(server) as task:
        await server.publish(packet())
        shown = shown_publisher(server, "it")
        assert f"mounts a disk on {mount_point}, and nothing is mounted there" in shown["paused_reason"]
        assert not list(mount_point.iterdir())
        fstab.unlink()
        server.cmd_retry()
        await until(lambda: list(mount_point.iterdir()))
    await task
