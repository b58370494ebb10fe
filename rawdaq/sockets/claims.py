"""Which things that only one program can have exclude each other: the same one, and a port at every address."""

import ipaddress
import re
from typing import NamedTuple

_EVERY = ("*", "")
_TCP = "tcp port "
_PORT = re.compile(r"(tcp|udp)://(?P<host>.*):(?P<port>\d+)|(TCP|UDP) port (?P<of_port>\d+)(?: of (?P<of_host>.+))?")


class Claim(NamedTuple):
    """A thing that only one program can have.

    Attributes:
        thing: what it is, in words; of a port without its address.
        host: the address of a port, in the form that all are compared in; None: it is no port.
    """

    thing: str
    host: str | None = None

    @classmethod
    def of(cls, words: str) -> "Claim":
        """Return what *words*, such as ``UDP port 5000 of 127.0.0.1`` or ``file /data/capture``, claim.

        >>> Claim.of("tcp://[::1]:9004")
        Claim(thing='tcp port 9004', host='::1')
        """
        match = _PORT.fullmatch(words)
        if match is None:
            return cls(words)
        transport = match[1] or match[4].lower()
        return cls(f"{transport} port {match['port'] or match['of_port']}", _plain(match["host"] or match["of_host"]))

    @property
    def tcp_port(self) -> int | None:
        """The port, where it is one of TCP."""
        return int(self.thing.removeprefix(_TCP)) if self.thing.startswith(_TCP) else None

    def excludes(self, other: "Claim") -> bool:
        """Whether one of the two cannot be had beside the other."""
        return self.thing == other.thing and (self.host == other.host or "" in (self.host, other.host))


def _plain(host: str | None) -> str:
    """Return the address as all are compared, empty for every address of this machine."""
    bare = (host or "").strip("[]").lower()
    if bare in _EVERY:
        return ""
    try:
        address = ipaddress.ip_address("127.0.0.1" if bare == "localhost" else bare)
    except ValueError:
        return bare
    return "" if address.is_unspecified else str(address)
