"""The options of a ring and its servers that all classes have which serve one, and what they make of them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from rawdaq.ring.ring import Ring
from rawdaq.ring.server.service import RingService
from rawdaq.ring.server.settings import ANYBODY, LOOPBACK, ListenSettings, Networks, Rules, check_networks
from rawdaq.sockets.endpoint import host_port

_BYTES_PER_GB: Final = 1_000_000_000

MaxGb = Annotated[float, Field(ge=0.004, le=100_000)]
SyncS = Annotated[float, Field(ge=0, le=3600)]
PacketBytes = Annotated[int, Field(ge=128, le=1_048_576)]
MaxClients = Annotated[int, Field(ge=1, le=100_000)]
NetworkList = Annotated[list[str], AfterValidator(check_networks)]


def make_service(log: logging.Logger, program: str, options: Mapping[str, Any]) -> RingService:
    """Return the ring and the servers that *options* describe, not open yet; *program* is what they call themselves."""

    def networks(name: str, default: Sequence[str]) -> Networks:
        return Networks(default if options[name] is None else options[name])

    limits = {name: options[name] for name in ("organization", "packet_bytes", "max_clients", "max_per_address")}
    rules = Rules(
        program=program,
        readers=networks("read", ANYBODY),
        writers=networks("write", LOOPBACK),
        trusted=networks("trusted", LOOPBACK),
        **limits,
    )
    ring = Ring(options["path"], round(options["max_gb"] * _BYTES_PER_GB), options["sync_s"], log)
    return RingService(ring, options["seedlink"], options["datalink"], options["isi"], options["tls"], rules, log)


def refusal(options: Mapping[str, Any]) -> str | None:
    """Return why *options* cannot be together; None when they can."""
    if not _listens(options):
        return "serves nothing: give it `seedlink`, such as {ip: 127.0.0.1, port: 18000}, or `datalink`, or `isi`"
    if options["isi"] is not None and options["tls"] is not None and options["tls"].required:
        return "`tls` refuses all clients of `isi`, which cannot encrypt: leave out `required: true`, or `isi`"
    if not options["organization"].strip():
        return "`organization` is empty: say who runs the server"
    return None


def addresses(options: Mapping[str, Any]) -> list[str]:
    """Return where *options* listen, in the words of all that listens on TCP."""
    return [f"tcp://{host_port(each.ip, each.port)}" for each in dict.fromkeys(_listens(options)) if each.port]


def _listens(options: Mapping[str, Any]) -> list[ListenSettings]:
    return [options[name] for name in ("seedlink", "datalink", "isi") if options[name] is not None]
