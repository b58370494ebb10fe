"""The option ``curve`` of receivers and publishers that can encrypt with ZMQ's CURVE."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from rawdaq.config.settings import Settings
from rawdaq.errors import InvalidValue
from rawdaq.sockets.zeromq.curve import CurveFiles

_KeyPath = Annotated[Path, Field(strict=False)]


class CurveSettings(Settings):
    """The key files of one side; the side that binds is the server.

    Attributes:
        key: our secret key file (``NAME.key_secret``).
        server_key: where we connect, the public key file of the server (``NAME.key``).
        clients: where we bind, a folder of the public key files of the clients that may connect; without one all may
            that know our public key.
    """

    key: _KeyPath
    server_key: _KeyPath | None = None
    clients: _KeyPath | None = None


def curve_files(curve: CurveSettings | None, *, is_bound: bool) -> CurveFiles | None:
    """Return the key files of *curve*; None without it.

    Raises:
        InvalidValue: it lacks a file that this side needs, or has one of the other side.
    """
    if curve is None:
        return None
    if is_bound and curve.server_key is not None:
        raise InvalidValue("`curve` of the side that binds has `key` and perhaps `clients`: remove `server_key`")
    if not is_bound and (curve.server_key is None or curve.clients is not None):
        raise InvalidValue("`curve` of the side that connects has `key` and `server_key`, and no `clients`")
    return CurveFiles(curve.key, curve.server_key, curve.clients)
