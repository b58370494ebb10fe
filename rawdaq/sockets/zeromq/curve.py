"""Keys of ZMQ's encryption, CURVE, from the files that pyzmq makes.

::

    python -c "import os, zmq.auth; os.umask(0o077); zmq.auth.create_certificates('keys', 'hub')"

writes ``keys/hub.key``, which others may have, and ``keys/hub.key_secret``, which only its owner may read.
"""

import logging
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.asyncio import AsyncioAuthenticator

from rawdaq.errors import ComponentError
from rawdaq.outage import Outage

_REFUSED_S = 60.0  # a client whose key is unknown may connect again and again
_HOW = "zmq.auth.create_certificates makes them"


@dataclass(frozen=True, slots=True)
class CurveFiles:
    """The key files of one side of a connection. The side that binds is the server of CURVE.

    Attributes:
        key: our secret key file (``.key_secret``).
        server_key: the public key file of the server (``.key``), where we connect.
        clients: a folder of the public key files of clients that may connect, where we bind; None: all clients that
            know our public key.
    """

    key: Path
    server_key: Path | None = None
    clients: Path | None = None

    def apply(self, opened: "zmq.Socket[bytes]") -> None:
        """Give the keys to a socket that is not yet bound or connected.

        Raises:
            ComponentError: a file cannot be read, is no key file, or is a secret one that others may read.
        """
        opened.curve_publickey, opened.curve_secretkey = read_keys(self.key, wants_secret=True)
        if self.server_key is None:
            opened.curve_server = True
            opened.setsockopt(zmq.ZAP_DOMAIN, b"*")  # without a domain no client's key is checked
        else:
            opened.curve_serverkey = read_keys(self.server_key, wants_secret=False)[0]


def read_keys(path: Path, *, wants_secret: bool) -> tuple[bytes, bytes]:
    """Return the public and the secret key in *path*; the latter is empty where there is none.

    Raises:
        ComponentError: it cannot be read, is no key file, or is a secret one that others may read.
    """
    try:
        if wants_secret and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ComponentError(f"others may read the secret key file {path}: `chmod 600 {path}`")
        public, secret = zmq.auth.load_certificate(path)
    except ValueError as error:
        raise ComponentError(f"{path} is no key file of ZMQ: {_HOW}") from error
    except OSError as error:
        reason = error.strerror or "no such file"
        raise ComponentError(f"cannot read the key file {path}: {reason}; let this user read it ({_HOW})") from error
    if wants_secret and not secret:
        raise ComponentError(f"{path} holds no secret key: name the file that ends with .key_secret")
    return public, secret or b""


class ClientKeys:
    """The clients that may connect: those whose public keys are in a folder, which is read again when it changes.

    Args:
        folder: the folder.
        log: where refused clients are logged.

    Raises:
        ComponentError: the folder or a key file in it cannot be read.
    """

    def __init__(self, folder: Path, log: logging.Logger) -> None:
        self._folder = folder
        self._log = log
        self._keys: set[bytes] = set()
        self._read_ns = 0
        self._refused = Outage(log, _REFUSED_S)
        self._read()

    def start(self, context: "zmq.Context[zmq.Socket[bytes]]") -> AsyncioAuthenticator:
        """Check every client of the sockets of *context* from now on, until the result is stopped."""
        authenticator = AsyncioAuthenticator(context)
        authenticator.configure_curve_callback("*", self)
        authenticator.start()
        return authenticator

    def _read(self) -> None:
        try:
            changed_ns = self._folder.stat().st_mtime_ns
            if changed_ns != self._read_ns:
                self._keys = {read_keys(path, wants_secret=False)[0] for path in self._folder.glob("*.key")}
                self._read_ns = changed_ns
        except OSError as error:
            raise ComponentError(f"cannot read the folder of client keys {self._folder}: {error.strerror}") from error

    def callback(self, domain: str, key: bytes) -> bool:
        """Return whether the client with the public *key* may connect; called by the authenticator."""
        try:
            self._read()
        except ComponentError as error:
            self._log.warning("%s; the keys that were read before stay valid", error)
        if key in self._keys:
            return True
        self._refused.counts[key.decode("ascii", "replace")] += 1
        if self._refused.is_due:
            self._refused.log(
                "refused %d connections of clients whose keys are not in %s, the last one with the key %s; "
                "copy its public key file there to let it connect",
                self._refused.counts.total(),
                self._folder,
                key.decode("ascii", "replace"),
            )
        return False
