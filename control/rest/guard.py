"""Who may ask: a token where one is set, and no web page of another server."""

import hmac
import ipaddress
from collections.abc import Collection, Mapping
from typing import NamedTuple

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard(NamedTuple):
    """What a request must have.

    Attributes:
        token: what follows ``Authorization: Bearer``; None: nothing is needed.
        hosts: how the server may be called; None: in any way. A web page cannot change how it calls a server, so a
            name that its owner points to this machine is refused.
    """

    token: str | None = None
    hosts: Collection[str] | None = None

    def refusal(self, scheme: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return status and text of why a request is refused, None when it is not.

        Args:
            scheme: ``http`` or ``https``.
            headers: of the request, with names in small letters.
        """
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return 421, f"this server is not called {host!r}; call it {' or '.join(sorted(self.hosts))}"
        origin = headers.get("origin")
        if origin is not None and origin != f"{scheme}://{host}":
            return 403, f"requests from web pages of {origin} are refused"
        if self.token is not None:
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return 401, "the token is missing or wrong; send it as: Authorization: Bearer TOKEN"
        return None


def names_of(ip: str) -> tuple[str, ...] | None:
    """Return how a server that listens on *ip* may be called; None when others than this machine can reach it.

    >>> names_of("127.0.0.1"), names_of("0.0.0.0")
    (('127.0.0.1', 'localhost', '[::1]'), None)
    """
    try:
        is_loopback = ip == "localhost" or ipaddress.ip_address(ip).is_loopback
    except ValueError:
        is_loopback = False
    return _LOOPBACK_NAMES if is_loopback else None


def _name(host: str) -> str:
    """Return *host* without its port."""
    return host if host.endswith("]") else host.rpartition(":")[0] or host
