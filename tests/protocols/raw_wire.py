"""What the tests of the RAW protocol share."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import numpy as np

from rawdaq.packet import Samples
from rawdaq.protocols.raw import ChannelFormat, RawDevice, RawPlugin, RawVersion, SampleBlock
from rawdaq.protocols.raw.device import DeviceEvent
from rawdaq.protocols.raw.plugin import PluginEvent

T_co = TypeVar("T_co", covariant=True)


class Receiver(Protocol[T_co]):
    def receive_data(self, data: bytes) -> Iterator[T_co]: ...


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut *data* into pieces of *size* bytes; 0 leaves it whole."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]


def receive(peer: Receiver[T_co], data: bytes, size: int = 0) -> list[T_co]:
    return [event for piece in pieces(data, size) for event in peer.receive_data(piece)]


def comparable(event: object) -> object:
    """Return something that == compares as a whole, samples bit for bit."""
    if isinstance(event, SampleBlock):
        return (*event[:3], event.samples.dtype, event.samples.tobytes())
    return event


def same(events: Iterable[object], expected: Iterable[object]) -> bool:
    return list(map(comparable, events)) == list(map(comparable, expected))


def block(channel: int, start_ns: int, quality: int | None, values: list[int], dtype: str) -> SampleBlock:
    return as_block(channel, start_ns, quality, np.array(values, dtype))


def as_block(channel: int, start_ns: int, quality: int | None, samples: Samples) -> SampleBlock:
    return SampleBlock(channel, start_ns, quality, samples.dtype, memoryview(samples.tobytes()))


class ConnectionPair:
    """A plugin and a device, wired in memory."""

    def __init__(self, channels: Mapping[int, ChannelFormat], version: RawVersion = RawVersion.V2_0) -> None:
        self.plugin, self.device = RawPlugin(list(channels), version), RawDevice(channels)
        self.plugin_events: list[PluginEvent] = []
        self.device_events: list[DeviceEvent] = []

    def exchange(self, size: int = 0) -> None:
        """Carry bytes to and fro until both are silent."""
        while True:
            asked, answered = self.plugin.data_to_send(), self.device.data_to_send()
            if not asked and not answered:
                return
            self.device_events += receive(self.device, asked, size)
            self.plugin_events += receive(self.plugin, answered, size)

    def send(self, channel: int, start_ns: int, quality: int, samples: Samples, size: int = 0) -> list[PluginEvent]:
        """Send one packet and return what the plugin makes of it."""
        self.device.send_samples(channel, start_ns, quality, samples)
        return receive(self.plugin, self.device.data_to_send(), size)
