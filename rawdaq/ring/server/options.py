"""The options of a ring and its servers that all classes have which serve one, and what they make of them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from rawdaq.ring.ring import Ring
from rawdaq.ring.server.service import RingService
from rawdaq.ring.server.settings import ANYBODY, LOOPBACK, ListenSettings, Networks, Rules, TlsSettings, check_networks
from rawdaq.sockets.endpoint import host_port

_BYTES_PER_GB: Final = 1_000_000_000

MaxGb = Annotated[float, Field(ge=0.004, le=100_000)]
SyncS = Annotated[float, Field(ge=0, le=3600)]
PacketBytes = Annotated[int, Field(ge=128, le=1_048_576)]
MaxClients = Annotated[int, Field(ge=1, le=100_000)]
NetworkList = Annotated[list[str], AfterValidator(check_networks)]


def make_service(
    log: logging.Logger,
    program: str,
    path: Path,
    max_gb: float,
    sync_s: float,
    seedlink: ListenSettings | None,
    datalink: ListenSettings | None,
    tls: TlsSettings | None,
    organization: str,
    packet_bytes: int,
    max_clients: int,
    max_per_address: int,
    read: Sequence[str] | None,
    write: Sequence[str] | None,
    trusted: Sequence[str] | None,
) -> RingService:
    """Return a ring and its servers, not open yet."""
    rules = Rules(
        program=program,
        organization=organization,
        packet_bytes=packet_bytes,
        max_clients=max_clients,
        max_per_address=max_per_address,
        readers=Networks(ANYBODY if read is None else read),
        writers=Networks(LOOPBACK if write is None else write),
        trusted=Networks(LOOPBACK if trusted is None else trusted),
    )
    return RingService(Ring(path, round(max_gb * _BYTES_PER_GB), sync_s, log), seedlink, datalink, tls, rules, log)


def refusal(options: Mapping[str, Any]) -> str | None:
    """Return why *options* cannot be together; None when they can."""
    if options["seedlink"] is None and options["datalink"] is None:
        return "serves nothing: give it `seedlink`, such as {ip: 127.0.0.1, port: 18000}, or `datalink`, or both"
    if not options["organization"].strip():
        return "`organization` is empty: say who runs the server"
    return None


def addresses(options: Mapping[str, Any]) -> list[str]:
    """Return where *options* listen, in the words of all that listens on TCP."""
    listens: list[ListenSettings] = [each for each in (options["seedlink"], options["datalink"]) if each is not None]
    return [f"tcp://{host_port(each.ip, each.port)}" for each in dict.fromkeys(listens) if each.port]
