"""What a station file says about the servers of a ring."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from rawdaq.config.settings import Settings
from rawdaq.sockets.endpoint import check_host

LOOPBACK: Final = ("127.0.0.0/8", "::1")
ANYBODY: Final = ("0.0.0.0/0", "::/0")


class ListenSettings(Settings):
    """Where one protocol is served.

    Attributes:
        ip: the address to listen on; by default this machine only. ``0.0.0.0`` lets other machines in, too.
        port: the port; 0 lets the system choose one, which `status` shows.
    """

    ip: Annotated[str, AfterValidator(check_host)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]


class TlsSettings(Settings):
    """How connections are encrypted.

    Attributes:
        certificate: PEM file with the server's certificate, and those that vouch for it.
        key: PEM file with its private key.
        required: whether connections that are not encrypted are refused; else a port takes both.
    """

    certificate: Annotated[Path, Field(strict=False)]
    key: Annotated[Path, Field(strict=False)]
    required: bool = False


def check_networks(networks: list[str]) -> list[str]:
    """Return *networks* when each is an address or a network.

    Raises:
        ValueError: one is not.
    """
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(f"{network!r} is no address or network such as 192.0.2.0/24: {error}") from None
    return networks


class Networks:
    """Addresses that may do something.

    Args:
        networks: what each of them is, such as ``192.0.2.0/24``.

    >>> "192.0.2.7" in Networks(["192.0.2.0/24"]), "::ffff:192.0.2.7" in Networks(["192.0.2.0/24"])
    (True, True)
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __contains__(self, address: str) -> bool:
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return any((mapped or found) in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may do what, and how much.

    Attributes:
        program: name and version of the program.
        organization: who runs the server.
        packet_bytes: the largest data that a writer may bring.
        max_clients: how many may be connected.
        max_per_address: how many of them from one address.
        readers: who may connect.
        writers: who may write by DataLink.
        trusted: who may see the other clients.
        first_command_s: how long a client may be connected without a word.
        command_s: how long a command may take to come.
        slow_s: how long a client may take nothing of what waits for it.
    """

    program: str = "rawdaq/0"
    organization: str = "rawdaq"
    packet_bytes: int = 16_384
    max_clients: int = 1000
    max_per_address: int = 250
    readers: Networks = field(default_factory=lambda: Networks(ANYBODY))
    writers: Networks = field(default_factory=lambda: Networks(LOOPBACK))
    trusted: Networks = field(default_factory=lambda: Networks(LOOPBACK))
    first_command_s: float = 10.0
    command_s: float = 10.0
    slow_s: float = 10.0
