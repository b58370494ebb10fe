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
        change_header: a header that every POST must have with the value 1; None: none. A form of a web page cannot
            send one.
    """

    token: str | None = None
    hosts: Collection[str] | None = None
    change_header: str | None = None

    def refusal(
        self, scheme: str, headers: Mapping[str, str], *, is_change: bool = False, is_open: bool = False
    ) -> tuple[int, str] | None:
        """Return status and text of why a request is refused, None when it is not.

        Args:
            scheme: ``http`` or ``https``.
            headers: of the request, with names in small letters.
            is_change: whether it is a POST.
            is_open: whether it needs no token.
        """
        if refused := self.refusal_of_page(scheme, headers) or (
            self._refusal_of_change(headers) if is_change else None
        ):
            return refused
        if self.token is not None and not is_open and not self.is_right(given_token(headers) or ""):
            return 401, "the token is missing or wrong; send it as: Authorization: Bearer TOKEN"
        return None

    def refusal_of_page(self, scheme: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return why a request is refused because of where it comes from, None when it is not."""
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return 421, f"this server is not called {host!r}; call it {' or '.join(sorted(self.hosts))}"
        origin = headers.get("origin")
        if origin is not None and origin != f"{scheme}://{host}":
            return 403, f"requests from web pages of {origin} are refused"
        return None

    def _refusal_of_change(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        if self.change_header is None:
            return None
        if headers.get(self.change_header.lower()) != "1":
            return 403, f"the header is missing: {self.change_header}: 1"
        if (site := headers.get("sec-fetch-site", "same-origin")) != "same-origin":
            return 403, f"requests from web pages of other servers are refused (Sec-Fetch-Site: {site})"
        return None

    def is_right(self, token: str) -> bool:
        """Whether *token* is that of this server; takes as long in any case."""
        return self.token is None or hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.token.encode())


def given_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of a request; None without one."""
    word, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if word.lower() == "bearer" else None


def names_of(ip: str) -> tuple[str, ...] | None:
    """Return how a server that listens on *ip* may be called; None when others than this machine can reach it.

    >>> names_of("127.0.0.1"), names_of("0.0.0.0")
    (('127.0.0.1', 'localhost', '[::1]'), None)
    """
    return _LOOPBACK_NAMES if is_loopback(ip) else None


def is_loopback(ip: str) -> bool:
    """Whether only programs of this machine reach a server that listens on *ip*."""
    try:
        return ip == "localhost" or ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """Return *host* without its port, in small letters."""
    return (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()
