"""Whether a folder is on the disk that it should be on: a disk that is not mounted leaves an empty folder behind."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_FSTAB = Path("/etc/fstab")


class MountedFolder:
    """A folder that must stay on a mounted disk.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._device_below: int | None = None

    def watch(self) -> None:
        """Remember where its disk is mounted, which it must be now.

        Raises:
            OSError: the folder does not exist.
        """
        self._device_below = device_below(self._path)

    def device(self) -> int:
        """Return the device of the folder (``os.stat_result.st_dev``).

        Raises:
            FileNotFoundError: the folder, or the disk that was mounted there, is gone.
            OSError: the disk does not answer.
        """
        device = os.stat(self._path).st_dev
        if device == self._device_below:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        return device


def check_mounted(folder: Path) -> None:
    """Check that what ``/etc/fstab`` mounts on *folder*, or on a folder above it, is mounted.

    At boot a program may be faster than a disk. What it writes below the mount point then fills the system's disk, and
    is hidden when the disk is there.

    Raises:
        FileNotFoundError: it is not.
    """
    folder = folder.resolve()
    for mount_point in _mount_points():
        if folder.is_relative_to(mount_point) and not mount_point.is_mount():
            cause = f"{_FSTAB} mounts a disk on {mount_point}, and nothing is mounted there"
            raise FileNotFoundError(errno.ENOENT, cause, str(folder))


def _mount_points() -> Iterable[Path]:
    """Yield the mount points that ``/etc/fstab`` has; none where it cannot be read."""
    with suppress(OSError):
        for line in _FSTAB.read_text(errors="replace").splitlines():
            fields = line.split()
            if len(fields) > 1 and not line.lstrip().startswith("#") and fields[1].startswith("/"):
                yield Path(fields[1].replace("\\040", " "))


def device_below(folder: Path) -> int | None:
    """Return the device on which the mount point of *folder* lies: where it would lead without that mount.

    None when *folder* is on the root file system.
    """
    folder = folder.resolve()
    device = os.stat(folder).st_dev
    for parent in folder.parents:
        below = os.stat(parent).st_dev
        if below != device:
            return below
    return None
