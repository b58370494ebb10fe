"""A PostgreSQL server of Debian's package, in a folder of its own, for as long as a test needs it."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.helpers import wait_for

PASSWORD = "correct horse"
_NOBODY = "65534"  # the server refuses to run as root


class PostgresServer:
    """Listens on a Unix socket only, and wants a password.

    Attributes:
        folder: of its socket, with the data below.
        url: for SQLAlchemy, without the password.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
        self.url = f"postgresql+psycopg://reader@/postgres?host={self.folder}"
        self._bin = _binaries()
        self._as_nobody = _as_nobody(self.folder)
        self._server: subprocess.Popen[bytes] | None = None
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = [
            "--auth=scram-sha-256",
            "--username=reader",
            f"--pwfile={secret}",
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
        ]
        done = subprocess.run(
            [*self._as_nobody, str(self._bin / "initdb"), "-D", str(self.folder / "data"), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.folder,
            **_other_user(self._as_nobody),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=10"]
        self._server = subprocess.Popen[bytes](
            [*self._as_nobody, str(self._bin / "postgres"), "-D", str(self.folder / "data"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **_other_user(self._as_nobody),
        )
        wait_for(self._answers)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, *statements: str) -> None:
        """Make *statements*, each of which is committed."""
        with psycopg.connect(host=str(self.folder), user="reader", dbname="postgres", password=PASSWORD) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def stop(self) -> None:
        """Stop it at once, as a crash would; it can be started again."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)
            self._server = None

    def remove(self) -> None:
        """Stop it, and remove what it has written."""
        self.stop()
        shutil.rmtree(self.folder)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.fail("no PostgreSQL server under /usr/lib/postgresql; install it: apt-get install postgresql", False)
    return found[-1].parent


def _as_nobody(folder: Path) -> Sequence[str]:
    """Return what goes before a command so that root runs it as nobody, by a user namespace; none for other users."""
    if os.geteuid() != 0:
        return ()
    words = ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}"]
    if subprocess.run([*words, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return words
    os.chown(folder, int(_NOBODY), int(_NOBODY))  # a container that has no namespaces has another user
    return ()


def _other_user(as_nobody: Sequence[str]) -> dict[str, Any]:
    is_needed = os.geteuid() == 0 and not as_nobody
    return {"user": int(_NOBODY), "group": int(_NOBODY)} if is_needed else {}
