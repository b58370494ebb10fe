"""Who we are to a server that wants to know, as a station file says it: secrets are in files of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rawdaq.datalink.session import PORTS
from rawdaq.errors import ComponentError
from rawdaq.sockets.client.address import ServerAddress


@dataclass(frozen=True, slots=True)
class Login:
    """A user and where the secret is.

    Attributes:
        user: the user's name; empty: none.
        password_file: holds the user's password.
        token_file: holds a JSON web token, instead.
    """

    user: str = ""
    password_file: Path | None = None
    token_file: Path | None = None

    def read(self) -> dict[str, str]:
        """Return the arguments of `rawdaq.datalink.DataLink` for it; the files are read anew each time.

        Raises:
            ComponentError: a file cannot be read.
        """
        if self.token_file is not None:
            return {"token": _secret(self.token_file)}
        if self.password_file is not None:
            return {"user": self.user, "password": _secret(self.password_file)}
        return {}


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ComponentError(f"cannot read the secret in {path}: {reason}; let this user read it") from error


def check_url(url: str) -> str:
    """Return *url* when it is the address of a DataLink server.

    Raises:
        InvalidValue: it is not one.
    """
    ServerAddress.parse(url, PORTS)
    return url


def check_login(options: Mapping[str, Any]) -> str | None:
    """Return why the options ``url``, ``user``, ``password_file`` and ``token_file`` do not go together; None: well."""
    user, password_file, token_file = options["user"], options["password_file"], options["token_file"]
    if bool(user) != (password_file is not None):
        return "user and password_file belong together; give both, or a token_file instead"
    if token_file is not None and user:
        return "there is a token_file as well as a user; leave one of them out"
    address = ServerAddress.parse(options["url"], PORTS)
    if (user or token_file) and not (address.is_encrypted or address.is_loopback):
        return f"{address} is not encrypted: secrets are sent to datalinks:// and wss:// only"
    return None
