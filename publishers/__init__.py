"""The publishers that rawdaq brings: packets come in, bytes go out.

Each is loaded when it is first named, so that importing one does not load what the others need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rawdaq.publishers.container import ContainerPublisher
    from rawdaq.publishers.datalink import DataLinkPublisher
    from rawdaq.publishers.hdf5 import Hdf5Publisher
    from rawdaq.publishers.jsonl import JsonLinesPublisher
    from rawdaq.publishers.log_file import LogFilePublisher
    from rawdaq.publishers.miniseed import MiniSeedPublisher
    from rawdaq.publishers.raw_writer import RawWriter
    from rawdaq.publishers.repeater import RepeaterPublisher
    from rawdaq.publishers.ring import RingPublisher
    from rawdaq.publishers.seedlink_pipe import SeedLinkPluginPublisher
    from rawdaq.publishers.zmq_any import ZMQPublisher
    from rawdaq.publishers.zmq_pub import ZMQTCPPublisher

__all__ = [
    "ContainerPublisher",
    "DataLinkPublisher",
    "Hdf5Publisher",
    "JsonLinesPublisher",
    "LogFilePublisher",
    "MiniSeedPublisher",
    "RawWriter",
    "RepeaterPublisher",
    "RingPublisher",
    "SeedLinkPluginPublisher",
    "ZMQPublisher",
    "ZMQTCPPublisher",
]

_HOMES = {
    "ContainerPublisher": "rawdaq.publishers.container",
    "DataLinkPublisher": "rawdaq.publishers.datalink",
    "Hdf5Publisher": "rawdaq.publishers.hdf5",
    "JsonLinesPublisher": "rawdaq.publishers.jsonl",
    "LogFilePublisher": "rawdaq.publishers.log_file",
    "MiniSeedPublisher": "rawdaq.publishers.miniseed",
    "RawWriter": "rawdaq.publishers.raw_writer",
    "RepeaterPublisher": "rawdaq.publishers.repeater",
    "RingPublisher": "rawdaq.publishers.ring",
    "SeedLinkPluginPublisher": "rawdaq.publishers.seedlink_pipe",
    "ZMQPublisher": "rawdaq.publishers.zmq_any",
    "ZMQTCPPublisher": "rawdaq.publishers.zmq_pub",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
