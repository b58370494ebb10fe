"""The folders of runtime files and logs, which are the same for a user in every environment.

See ``docs/decisions/runtime-files.md``.
"""

import os
import pwd
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from rawdaq.errors import ComponentError

_MACHINE_ID = Path("/etc/machine-id")

#: The files that a runtime folder holds.
SUFFIXES = (".pid", ".sock", ".end", ".alarms")


def find_folders(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the runtime folder and the log folder of this user.

    They depend on the user and on our own two variables alone, so that components are found from a login, from cron,
    from a unit of systemd and after ``su``.

    Args:
        environment: has ``RAWDAQ_RUNTIME_DIR`` and ``RAWDAQ_LOG_DIR`` where other folders are wanted.
    """
    if chosen := environment.get("RAWDAQ_RUNTIME_DIR"):
        runtime = Path(chosen).expanduser()
        logs = runtime / "log"
    else:
        runtime, logs = folders_of_user(os.geteuid())
    if chosen := environment.get("RAWDAQ_LOG_DIR"):
        logs = Path(chosen).expanduser()
    return runtime, logs


def folders_of_user(uid: int) -> tuple[Path, Path]:
    """Return the runtime folder and the log folder of a user who has chosen no others."""
    if uid == 0:
        return Path("/run/rawdaq" if Path("/run").is_dir() else "/var/run/rawdaq"), Path("/var/log/rawdaq")
    home = _home(uid)
    if sys.platform == "darwin":
        return home / "Library/Application Support/rawdaq/run", home / "Library/Logs/rawdaq"
    state = home / ".local/state/rawdaq"
    return state / f"run{_machine()}", state / "log"


def _home(uid: int) -> Path:
    """Return the home folder that the system has for a user, whatever ``$HOME`` says."""
    try:
        return Path(pwd.getpwuid(uid).pw_dir or "/")
    except KeyError:  # a container that runs as any number
        return Path("/")


def _machine() -> str:
    """Return a suffix of this machine: a home folder on a file server is that of several machines."""
    try:
        known = re.fullmatch(r"([0-9a-f]{8})[0-9a-f]{24}\n?", _MACHINE_ID.read_text())
    except (OSError, UnicodeDecodeError):
        return ""
    return f"-{known[1]}" if known else ""


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make *folder*, such as that of logs.

    Raises:
        ComponentError: it cannot be made.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise ComponentError(
            f"{folder} cannot be made: {error.strerror}; set RAWDAQ_RUNTIME_DIR (and RAWDAQ_LOG_DIR) to others, "
            "in every place from which this user runs rawdaq"
        ) from error


def make_runtime_folder(runtime: Path, logs: Path) -> None:
    """Make *runtime*, which only this user can enter from then on.

    Args:
        runtime: the folder of pid files and command sockets.
        logs: the folder of logs, which may be in it.

    Raises:
        ComponentError: it is not safe, or cannot be made.
    """
    make_folder(runtime, 0o700)
    _make_private(runtime, logs)


def _make_private(runtime: Path, logs: Path) -> None:
    about = runtime.stat()
    if about.st_uid != os.geteuid():
        raise ComponentError(f"{runtime} belongs to another user; set RAWDAQ_RUNTIME_DIR to a folder of your own")
    if stat.S_IMODE(about.st_mode) & 0o077 == 0:
        return
    # A folder that others use too, such as /tmp, must stay open.
    if any(path.suffix not in SUFFIXES and path != logs for path in runtime.iterdir()):
        raise ComponentError(
            f"{runtime} is open to other users and holds other things; "
            "set RAWDAQ_RUNTIME_DIR to a folder of its own, or make it private (chmod 700)"
        )
    runtime.chmod(0o700)
