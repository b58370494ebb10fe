"""Whose datagrams are taken, and the multicast groups that they are sent to."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

_MAX_SENDERS = 4096  # for which it is remembered whether they are ours
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NAMED = 3  # senders in a sentence


def check_network(text: str) -> str:
    """Return *text* when it is an address or a network.

    Raises:
        ValueError: it is not.
    """
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an address or network like 192.0.2.7 or 192.0.2.0/24") from None
    return text


def check_group(text: str) -> str:
    """Return *text* when it is a multicast group.

    Raises:
        ValueError: it is not.
    """
    try:
        is_group = ipaddress.ip_address(text).is_multicast
    except ValueError:
        is_group = False
    if not is_group:
        raise ValueError(f"{text!r} is not a multicast group like 239.1.2.3 or ff15::7")
    return text


def group_mistakes(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not go together in a receiver's options ``ip``, ``multicast`` and ``interface``."""
    if options["interface"] and not options["multicast"]:
        yield "interface is where multicast groups are joined: name the groups, or leave it out"
    families = {4: "0.0.0.0", 6: "::"}
    for group in options["multicast"]:
        needed = families[ipaddress.ip_address(group).version]
        if options["ip"] != needed:
            yield f"group {group} needs ip: {needed!r} (interface is where to join it), not {options['ip']}"


def sender_mistakes(ip: str, senders: Sequence[str]) -> Iterator[str]:
    """Yield why nothing arrives at *ip* where all *senders* (addresses and networks) are other machines.

    >>> list(sender_mistakes("127.0.0.1", ["127.0.0.2", "192.0.2.7"])), list(sender_mistakes("0.0.0.0", ["192.0.2.7"]))
    ([], [])
    """
    if not senders or not _is_loopback(ip) or any(map(_can_be_this_machine, senders)):
        return
    everything = "'::'" if any(":" in each for each in senders) else "0.0.0.0"
    more = f" and {len(senders) - _NAMED} more" if len(senders) > _NAMED else ""
    yield (
        f"nothing arrives from {', '.join(senders[:_NAMED])}{more}: ip {ip} hears only this machine; "
        f"set ip: {everything}, or the address of this machine's interface"
    )


def _is_loopback(ip: str) -> bool:
    try:
        return ip.lower() == "localhost" or ipaddress.ip_address(ip).is_loopback
    except ValueError:  # a name; which address it has is known when it is looked up
        return False


def _can_be_this_machine(network: str) -> bool:
    found = ipaddress.ip_network(network, strict=False)
    return any(found.version == each.version and found.overlaps(each) for each in _LOOPBACK)


class Networks:
    """Addresses and networks whose datagrams are taken; without any all are."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]
        self.has = lru_cache(_MAX_SENDERS)(self._has)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _has(self, sender: str) -> bool:
        """Whether *sender* is one of them."""
        if not self._networks:
            return True
        address = ipaddress.ip_address(sender)
        return any(address in network for network in self._networks)
