"""Where a server is and how it is spoken to: by TCP, TLS or WebSocket."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from rawdaq.errors import InvalidValue
from rawdaq.sockets.endpoint import check_host

_HOST = re.compile(r"[^\s\x00-\x1f/@]+")
_WEBSOCKET = ("ws", "wss")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An address such as ``tcp://HOST:PORT`` or ``wss://HOST:PORT/PATH``; one whose scheme ends in ``s`` is encrypted.

    >>> ServerAddress.parse("wss://example.org/datalink", {"wss": 443})
    ServerAddress(scheme='wss', host='example.org', port=443, path='/datalink')

    Attributes:
        scheme: the word before ``://``.
        host: a name or an address.
        port: the port.
        path: of a WebSocket.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str, ports: Mapping[str, int]) -> "ServerAddress":
        """Return the address that *text* is.

        Args:
            text: the address.
            ports: the schemes that there are, and of each the port that need not be written.

        Raises:
            InvalidValue: it is not one of these.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise InvalidValue(f"{text!r} is no address: {error}") from None
        has_path = parts.scheme in _WEBSOCKET
        is_plain = has_path or not (parts.path.strip("/") or parts.query)
        if parts.scheme not in ports or not _HOST.fullmatch(host) or not is_plain or "@" in parts.netloc:
            known = ", ".join(f"{scheme}://" for scheme in ports)
            raise InvalidValue(f"{text!r} is no address; it should be like {next(iter(ports))}://HOST:PORT ({known})")
        try:
            check_host(host)
        except ValueError as error:
            raise InvalidValue(f"{text!r} is no address: {error}") from None
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, ports[parts.scheme] if port is None else port, path if has_path else "")

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is by TLS."""
        return self.scheme.endswith("s") and self.scheme != "ws"

    @property
    def is_websocket(self) -> bool:
        """Whether it is a WebSocket."""
        return self.scheme in _WEBSOCKET

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        """Return it as it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"
