"""Passwords and tokens, which never stand in a station file."""

import os
import stat
from pathlib import Path

from rawdaq.errors import ComponentError

_MAX_BYTES = 65_536


def secret_of(variable: str | None, file: Path | None) -> str | None:
    """Return the secret of an environment variable or a file; None when neither is named.

    Raises:
        ComponentError: it is not there, or others may read it.
    """
    if variable is not None:
        value = os.environ.get(variable)
        if not value:
            raise ComponentError(f"the environment has no variable {variable} with the secret; set it before the start")
        return value
    return None if file is None else _of_file(file)


def _of_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & 0o077:
                raise ComponentError(f"others may read the secret in {file} (mode {mode:04o}); chmod 600 {file}")
            data = opened.read(_MAX_BYTES)
    except OSError as error:
        raise ComponentError(f"the secret in {file} cannot be read: {error.strerror}") from error
    secret = data.decode("utf-8", "replace").strip()
    if not secret:
        raise ComponentError(f"the file {file} is empty; it should have the secret")
    return secret
