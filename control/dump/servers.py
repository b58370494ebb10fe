"""Servers that ``rawdaq-dump`` reads beside publishers: what the scheme of an address means, in one table."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, cast

from rawdaq.subscriber import PacketReader
from rawdaq.times import to_iso

#: Homes of the schemes, each with a `Server` called ``SERVER``; loaded when used.
_HOMES = {
    "datalink": "rawdaq.control.dump.datalink",
    "datalinks": "rawdaq.control.dump.datalink",
    "isi": "rawdaq.control.dump.isi",
    "seedlink": "rawdaq.control.dump.seedlink",
    "ws": "rawdaq.control.dump.datalink",
    "wss": "rawdaq.control.dump.datalink",
}


class Server(NamedTuple):
    """What can be done with a kind of server.

    Attributes:
        reader: returns what reads an address, given the patterns of the wanted streams; raises InvalidValue for an
            invalid address.
        info: returns the lines of an answer, given an address, what is asked for, and whether it is wanted as it came.
        items: what can be asked for.
    """

    reader: Callable[[str, Sequence[str]], PacketReader]
    info: Callable[[str, str, bool], Sequence[str]]
    items: Sequence[str]


def server_of(address: str) -> Server | None:
    """Return how the server at *address* is read; None when it is no server but a publisher."""
    home = _HOMES.get(address.partition("://")[0])
    return None if home is None else cast("Server", import_module(home).SERVER)


def time_text(time_ns: int | None) -> str:
    """Return a time as it is shown, a dash where there is none."""
    return "-" if time_ns is None else to_iso(time_ns)
