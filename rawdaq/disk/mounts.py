"""Whether a folder is on the disk that it should be on: a disk that is not mounted leaves an empty folder behind."""

import errno
import os
from pathlib import Path


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
