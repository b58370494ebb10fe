"""A serial line in tests: a pseudo-terminal whose device can be unplugged and plugged in again."""

import os
from pathlib import Path


class SerialLine:
    """The far end of a line that a program opens as *device*."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self._ends: tuple[int, int] | None = None

    def plug_in(self) -> None:
        """Let the device be there."""
        self._ends = os.openpty()
        self.device.symlink_to(os.ttyname(self._ends[1]))

    def unplug(self) -> None:
        """Let the device be gone."""
        self.device.unlink(missing_ok=True)
        for end in self._ends or ():
            os.close(end)
        self._ends = None

    def send(self, data: bytes) -> None:
        """Send *data*."""
        assert self._ends is not None
        os.write(self._ends[0], data)
