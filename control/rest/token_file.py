"""Tokens in files that nobody else can read."""

import os
import secrets
import stat
from pathlib import Path

from rawdaq.errors import ComponentError, InvalidValue

_TOKEN_BYTES = 32
_MAX_LENGTH = 256


def read_token(file: Path) -> str:
    """Return the token in *file*.

    Raises:
        InvalidValue: it cannot be read, others can read it, or it is no token.
    """
    try:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidValue(f"{file} can be read by others; run: chmod 600 {file}")
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidValue(f"{file}: {reason}") from error
    if not token:
        raise InvalidValue(f"{file} is empty; write a token to it")
    if len(token) > _MAX_LENGTH or not token.isprintable() or not token.isascii() or " " in token:
        raise InvalidValue(f"{file} holds no token, one word of up to {_MAX_LENGTH} letters")
    return token


def new_token() -> str:
    """Return a token that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def write_token(file: Path, token: str) -> None:
    """Write *token* into *file*, which only this user can read, in place of what was there.

    Raises:
        ComponentError: it cannot be written.
    """
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{token}\n")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ComponentError(f"{file} cannot be written: {error.strerror}") from error
