"""The receivers that rawdaq brings: bytes come in, packets go out.

Each is loaded when it is first named, so that importing one does not load what the others need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rawdaq.receivers.mon_sender import ReceiverMonSender
    from rawdaq.receivers.raw_tcp import RawReceiver

__all__ = ["RawReceiver", "ReceiverMonSender"]

_HOMES = {
    "RawReceiver": "rawdaq.receivers.raw_tcp",
    "ReceiverMonSender": "rawdaq.receivers.mon_sender",
}


def __getattr__(name: str) -> object:
    """Return the receiver class of that *name*."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the names of the receivers too, which are not loaded yet."""
    return sorted({*globals(), *__all__})
