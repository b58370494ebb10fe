"""The receivers that rawdaq brings: bytes come in, packets go out.

Each is loaded when it is first named, so that importing one does not load what the others need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rawdaq.receivers.assembler import ArrayAssembler, ReadoutAssembler
    from rawdaq.receivers.datalink import DataLinkReceiver
    from rawdaq.receivers.file_replayer import FileReplayer
    from rawdaq.receivers.isi import ISIReceiver
    from rawdaq.receivers.logs import LogReceiver
    from rawdaq.receivers.mon_sender import ReceiverMonSender
    from rawdaq.receivers.monitor import MonitorReceiver
    from rawdaq.receivers.raw_tcp import RawReceiver
    from rawdaq.receivers.raw_udp import RawUDPReceiver
    from rawdaq.receivers.ring_server import RingServer
    from rawdaq.receivers.seedlink import SeedLinkReceiver
    from rawdaq.receivers.sta_lta import StaLtaTrigger
    from rawdaq.receivers.telemetry import TelemetryReceiver
    from rawdaq.receivers.timestamps import TimestampReceiver
    from rawdaq.receivers.trigger import TriggerReceiver
    from rawdaq.receivers.zmq_in import ZMQReceiver

__all__ = [
    "ArrayAssembler",
    "DataLinkReceiver",
    "FileReplayer",
    "ISIReceiver",
    "LogReceiver",
    "MonitorReceiver",
    "RawReceiver",
    "RawUDPReceiver",
    "ReadoutAssembler",
    "ReceiverMonSender",
    "RingServer",
    "SeedLinkReceiver",
    "StaLtaTrigger",
    "TelemetryReceiver",
    "TimestampReceiver",
    "TriggerReceiver",
    "ZMQReceiver",
]

_HOMES = {
    "ArrayAssembler": "rawdaq.receivers.assembler",
    "DataLinkReceiver": "rawdaq.receivers.datalink",
    "FileReplayer": "rawdaq.receivers.file_replayer",
    "ISIReceiver": "rawdaq.receivers.isi",
    "LogReceiver": "rawdaq.receivers.logs",
    "MonitorReceiver": "rawdaq.receivers.monitor",
    "RawReceiver": "rawdaq.receivers.raw_tcp",
    "RawUDPReceiver": "rawdaq.receivers.raw_udp",
    "ReadoutAssembler": "rawdaq.receivers.assembler",
    "ReceiverMonSender": "rawdaq.receivers.mon_sender",
    "RingServer": "rawdaq.receivers.ring_server",
    "SeedLinkReceiver": "rawdaq.receivers.seedlink",
    "StaLtaTrigger": "rawdaq.receivers.sta_lta",
    "TelemetryReceiver": "rawdaq.receivers.telemetry",
    "TimestampReceiver": "rawdaq.receivers.timestamps",
    "TriggerReceiver": "rawdaq.receivers.trigger",
    "ZMQReceiver": "rawdaq.receivers.zmq_in",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
