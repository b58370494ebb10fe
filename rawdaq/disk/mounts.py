"""Whether a folder is on the disk that it should be on: a disk that is not mounted leaves an empty folder behind."""

import os
from pathlib import Path


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
