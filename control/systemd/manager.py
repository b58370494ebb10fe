"""The service manager, asked through ``systemctl``, and the folder of its units."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rawdaq.errors import ComponentError

_TIMEOUT_S = 300.0  # a start returns when the component runs
_OLDEST = 0
#: Is there where systemd runs the machine, see sd_booted(3): not in a container, nor where an image is made.
_BOOTED = Path("/run/systemd/system")


class Manager:
    """The manager of the system, or that of this user.

    Args:
        is_user: whether it is that of this user.
    """

    def __init__(self, *, is_user: bool) -> None:
        self.is_user = is_user

    @property
    def folder(self) -> Path:
        """Where an administrator's units are."""
        if not self.is_user:
            return Path("/etc/systemd/system")
        configured = os.environ.get("XDG_CONFIG_HOME")
        return (Path(configured) if configured else Path.home() / ".config") / "systemd/user"

    def version(self) -> int:
        """Return the version of systemd; where there is none, units are as for the oldest."""
        try:
            said = self._run(["--version"])
        except ComponentError:
            return _OLDEST
        found = re.match(r"systemd (\d+)", said.stdout)
        return int(found[1]) if found else _OLDEST

    @property
    def is_running(self) -> bool:
        """Whether it runs here; units can be enabled in any case, for the next boot."""
        return _BOOTED.is_dir()

    def is_active(self, unit: str) -> bool:
        """Whether *unit* runs."""
        return self._run(["is-active", "--quiet", unit]).returncode == 0

    def call(self, *words: str) -> None:
        """Run ``systemctl`` with *words*.

        Raises:
            ComponentError: it is not there, or says no.
        """
        done = self._run(words)
        if done.returncode != 0:
            reason = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
            raise ComponentError(f"{self._shown(words)}: {reason}")

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = ["systemctl", *(["--user"] if self.is_user else []), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
        except FileNotFoundError as error:
            raise ComponentError("systemctl is not there: this machine is not run by systemd") from error
        except subprocess.TimeoutExpired as error:
            raise ComponentError(f"{self._shown(words)}: no answer within {_TIMEOUT_S:g} s") from error

    def _shown(self, words: Sequence[str]) -> str:
        return " ".join(["systemctl", *(["--user"] if self.is_user else []), *words])
