"""What is done to a running rig, by name. Each function gets one that has begun to archive."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from faults import power
from faults.rig import Rig


class Fault(NamedTuple):
    """A fault.

    Attributes:
        name: as the table shows it.
        run: does it.
        most_lost: how many entries of the journal it may cost.
        prepare: called before the component is started.
    """

    name: str
    run: Callable[[Rig], None]
    most_lost: int = 0
    prepare: Callable[[Rig], None] | None = None


def _kill_component(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 4)):
        rig.wait(0.1, 1.5)
        rig.kill_component()
        rig.start_component()
        rig.wait(0.6, 2.0)


def _kill_device(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 3)):
        rig.wait(0.1, 1.0)
        rig.kill_device()
        rig.start_device()
        rig.wait(0.5, 1.5)


def _kill_both(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 3)):
        rig.wait(0.1, 1.5)
        first, second = rig.chance.sample([rig.kill_component, rig.kill_device], 2)
        first()
        second()
        rig.start_component()
        rig.start_device()
        rig.wait(0.8, 2.0)


def _stop_for_a_while(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 3)):
        rig.wait(0.1, 1.0)
        rig.signal_component(signal.SIGSTOP)
        rig.wait(0.1, 1.5)
        rig.signal_component(signal.SIGCONT)
    if rig.chance.random() < 0.5:
        rig.signal_component(signal.SIGSTOP)
        rig.wait(0.1, 0.5)
        rig.kill_component()
        rig.start_component()
        rig.wait(1.0, 2.0)


def _cut_connection(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 4)):
        rig.wait(0.1, 0.8)
        rig.cut_connection()
        rig.wait(0.5, 1.5)


def _limit_files(rig: Rig) -> None:
    """Let the system refuse that files grow: of the journal, of the archive, or of both."""
    for _ in range(rig.chance.randint(1, 2)):
        rig.wait(0.1, 0.8)
        sizes = [path.stat().st_size for path in rig.root.rglob("*") if path.is_file() and path.stat().st_size]
        limit = rig.chance.choice(sizes)
        rig.limit_files(limit)
        rig.wait(0.3, 2.0)
        if rig.chance.random() < 0.3:
            rig.kill_component()
            rig.start_component()
        else:
            rig.limit_files(resource.RLIM_INFINITY)
        rig.wait(0.5, 1.5)


def _take_room(ballast: Path, left: int) -> None:
    """Take all room on a disk but about *left* bytes; the component takes some at the same time."""
    with ballast.open("wb") as file:
        while True:
            disk = os.statvfs(ballast)
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_bsize - left))
                return


def _fill_disk(rig: Rig) -> None:
    """Let nothing be left of the disk that journal and archive are on, and free it again."""
    ballast = rig.root / "ballast"
    for _ in range(rig.chance.randint(1, 2)):
        rig.wait(0.1, 0.8)
        _take_room(ballast, rig.chance.randint(0, 200_000))
        rig.wait(0.3, 2.0)
        if rig.chance.random() < 0.3:
            rig.kill_component()
            rig.start_component()
            rig.wait(0.1, 1.0)
        ballast.unlink()
        rig.wait(0.5, 1.5)


def _segment(rig: Rig) -> Path:
    return max((rig.root / "journal").glob("*.seg"))


def _end_of(path: Path) -> int:
    """Return where the zeros begin that a store writes ahead."""
    return len(path.read_bytes().rstrip(b"\0"))


def _tear(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 2)):
        rig.wait(0.1, 1.5)
        rig.kill_component()
        path = _segment(rig)
        end = _end_of(path)
        os.truncate(path, max(0, end - rig.chance.randint(1, 3000)))
        rig.start_component()
        rig.wait(0.8, 2.0)


def _flip(rig: Rig) -> None:
    rig.wait(0.1, 1.5)
    rig.kill_component()
    path = rig.chance.choice(sorted((rig.root / "journal").glob("*.seg")))
    with path.open("r+b") as file:
        at = rig.chance.randrange(max(1, _end_of(path)))
        byte = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << rig.chance.randrange(8)]), at)
    rig.start_component()
    rig.wait(0.8, 2.0)


def _take_archive(rig: Rig) -> None:
    archive, away = rig.root / "archive", rig.root / "away"
    for _ in range(rig.chance.randint(1, 2)):
        rig.wait(0.1, 0.8)
        archive.rename(away)
        rig.wait(0.3, 2.0)
        if rig.chance.random() < 0.3:
            rig.kill_component()
            away.rename(archive)
            rig.start_component()
        else:
            away.rename(archive)
        rig.wait(0.5, 1.5)


def _power(rig: Rig) -> None:
    for _ in range(rig.chance.randint(1, 3)):
        rig.wait(0.1, 2.0)
        rig.kill_component()
        power.cut(rig.root / "undo", rig.root)
        rig.start_component()
        rig.wait(0.8, 2.0)


def _undoable(rig: Rig) -> None:
    rig.is_undoable = True


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("kill component", _kill_component),
        Fault("kill device", _kill_device),
        Fault("kill both", _kill_both),
        Fault("stop, go on", _stop_for_a_while),
        Fault("cut connection", _cut_connection),
        Fault("file limit", _limit_files),
        Fault("full disk", _fill_disk),
        Fault("torn tail", _tear, most_lost=100),
        Fault("flipped bit", _flip, most_lost=100),
        Fault("archive away", _take_archive),
        Fault("power cut", _power, prepare=_undoable),
    )
}


def random_rig(root: Path, seed: int, pace: float) -> Rig:
    """Return a rig in *root* whose chance follows from *seed*."""
    return Rig(root, random.Random(seed), pace)


def mount(root: Path, size_mb: int) -> bool:
    """Put a small disk in memory at *root*; return whether that is allowed here."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(root)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def unmount(root: Path) -> None:
    """Take it away; what runs there has ended."""
    for _ in range(50):
        if subprocess.run(["umount", str(root)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
