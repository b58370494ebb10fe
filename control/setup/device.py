"""What a RAW device offers: the channels that it knows, and what they send within a few seconds."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import numpy as np

from rawdaq.errors import ComponentError, RemoteProtocolError
from rawdaq.protocols.raw import (
    ChannelDescribed,
    ChannelFormat,
    ConnectionCut,
    PluginEvent,
    RawPlugin,
    RawVersion,
    SampleBlock,
    VersionAgreed,
    VersionRefused,
)
from rawdaq.sockets.dialling import connect_to_any
from rawdaq.sockets.endpoint import host_port
from rawdaq.times import NS_PER_S

_READ_BYTES = 1 << 16
_ENOUGH_NS = 2 * NS_PER_S  # of stamps: a rate of them is exact to 1 ppm
_LEAST_PACKETS = 3
_NEWEST_FIRST = (RawVersion.V2_0, RawVersion.V1_1, RawVersion.V1_0)


@dataclass
class Observed:
    """What a channel sent.

    Attributes:
        starts_ns: the time stamps of its packets.
        counts: the samples of each.
        least: its smallest sample, None before the first one.
        greatest: its largest sample.
        quality: the worst timing quality; None: the device sent none that can be.
        lag_s: how long before its arrival the last packet ended, by its own stamp.
    """

    starts_ns: list[int] = field(default_factory=list[int])
    counts: list[int] = field(default_factory=list[int])
    least: float | None = None
    greatest: float | None = None
    quality: int | None = 100
    lag_s: float = 0.0

    def add(self, block: SampleBlock, rate_hz: float, now_ns: int) -> None:
        """Take one more packet, which arrived at *now_ns*."""
        samples = block.samples
        if not samples.size:
            return
        self.starts_ns.append(block.start_ns)
        self.counts.append(samples.size)
        low, high = float(np.min(samples)), float(np.max(samples))
        self.least = low if self.least is None else min(self.least, low)
        self.greatest = high if self.greatest is None else max(self.greatest, high)
        known = None not in (self.quality, block.timing_quality)
        self.quality = min(self.quality or 0, block.timing_quality or 0) if known else None
        self.lag_s = (now_ns - block.start_ns) / NS_PER_S - samples.size / rate_hz

    @property
    def is_enough(self) -> bool:
        """Whether its rate is known."""
        return len(self.starts_ns) >= _LEAST_PACKETS and abs(self.starts_ns[-1] - self.starts_ns[0]) >= _ENOUGH_NS

    @property
    def rate_hz(self) -> float | None:
        """The rate that its time stamps mean, without its gaps; None: too few packets."""
        steps = np.diff(np.array(self.starts_ns, dtype=np.int64)).astype(float)
        counts = np.array(self.counts[:-1], dtype=float)
        forward = steps > 0
        if not forward.any():
            return None
        steps, counts = steps[forward], counts[forward]
        period_ns = float(np.median(steps / counts))
        good = np.abs(steps - counts * period_ns) <= np.maximum(period_ns / 2, steps / 10)
        return float(counts[good].sum() / steps[good].sum() * NS_PER_S) if good.any() else None

    @property
    def span_s(self) -> float:
        """From the first to the last time stamp."""
        return (self.starts_ns[-1] - self.starts_ns[0]) / NS_PER_S if self.starts_ns else 0.0


@dataclass(frozen=True)
class Device:
    """A device that was asked.

    Attributes:
        host: where it listens.
        port: its port.
        version: the version of the protocol that it speaks.
        formats: how the samples of each of its channels come.
        observed: what each channel sent.
    """

    host: str
    port: int
    version: RawVersion
    formats: Mapping[int, ChannelFormat]
    observed: Mapping[int, Observed]


async def ask(host: str, port: int, candidates: Sequence[int], within_s: float, answer_s: float = 10.0) -> Device:
    """Return what the device offers, after at most *within_s* of its samples.

    RAW has no list of channels: a device closes at one that it does not know. So each of *candidates* is asked for
    on a connection of its own.

    Args:
        host: where it listens.
        port: its port.
        candidates: the channel ids that it may know.
        within_s: for how long its samples are observed; less where their rates are known before.
        answer_s: how long it may take for an answer.

    Raises:
        ComponentError: there is no such device, or it knows none of the channels; the text says why.
    """
    dialogue = _Dialogue(host, port, answer_s)
    formats: dict[int, ChannelFormat] = {}
    for channel in candidates:
        if channel <= dialogue.version.max_channel and (described := await dialogue.describe(channel)):
            formats[channel] = described
    if not formats:
        asked = ", ".join(map(str, candidates))
        raise ComponentError(
            f"the device at {host_port(host, port)} speaks RAW {dialogue.version} and knows none of the channels "
            f"{asked}; name its channels: --channels 100-103"
        )
    return Device(host, port, dialogue.version, formats, await dialogue.observe(formats, within_s))


class _Dialogue:
    """Connections to a device, one after the other; remembers the version that it speaks."""

    def __init__(self, host: str, port: int, answer_s: float) -> None:
        self.host, self.port, self.answer_s = host, port, answer_s
        self.version = _NEWEST_FIRST[0]
        self._is_agreed = False

    async def describe(self, channel: int) -> ChannelFormat | None:
        """Return how the samples of *channel* come; None: the device does not know it."""
        while True:
            try:
                async with asyncio.timeout(self.answer_s):
                    return await self._describe(channel)
            except VersionRefused as refusal:
                self._offer_older(refusal)
            except TimeoutError as error:
                raise self._error(f"no answer within {self.answer_s:g} s", "is it on, and a RAW device?") from error
            except RemoteProtocolError as error:
                raise self._error(str(error), "is it a RAW device?") from error

    async def _describe(self, channel: int) -> ChannelFormat | None:
        is_agreed = False
        try:
            async with aclosing(self._events([channel])) as events:
                async for event in events:
                    if isinstance(event, VersionAgreed):
                        is_agreed, self.version, self._is_agreed = True, event.version, True
                    elif isinstance(event, ChannelDescribed):
                        return event.format
        except ConnectionCut:
            if not is_agreed:
                raise
        except ConnectionError as error:  # a device that leaves our request unread resets the connection
            if not is_agreed:
                raise VersionRefused(self.version, None) from error
        return None

    def _offer_older(self, refusal: VersionRefused) -> None:
        older = _NEWEST_FIRST[_NEWEST_FIRST.index(self.version) + 1 :]
        if not older or self._is_agreed:
            raise self._error(str(refusal), "no version that we speak: is it a RAW device?") from refusal
        self.version = older[0]

    async def observe(self, formats: Mapping[int, ChannelFormat], within_s: float) -> dict[int, Observed]:
        """Return what the channels send within *within_s*."""
        observed = {channel: Observed() for channel in formats}
        missing = set(observed)
        try:
            with suppress(TimeoutError, ConnectionError, ConnectionCut):  # what has come until then is what there is
                async with asyncio.timeout(within_s), aclosing(self._events(list(formats))) as events:
                    async for event in events:
                        if isinstance(event, SampleBlock):
                            seen = observed[event.channel]
                            seen.add(event, formats[event.channel].rate_hz, time.time_ns())
                            missing -= {event.channel} if seen.is_enough else set()
                        if not missing:
                            break
        except RemoteProtocolError as error:
            raise self._error(str(error), "repair the device") from error
        return observed

    async def _events(self, channels: Collection[int]) -> AsyncGenerator[PluginEvent]:
        """Yield what the device says of *channels* and sends of them, until it closes."""
        reader, writer = await self._connect()
        try:
            plugin = RawPlugin(channels, self.version)
            while True:
                if data := plugin.data_to_send():
                    writer.write(data)
                chunk = await reader.read(_READ_BYTES)
                if not chunk:
                    plugin.receive_eof()
                    return
                for event in plugin.receive_data(chunk):
                    yield event
        finally:
            writer.transport.abort()  # it may send for ever

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await connect_to_any(lambda: protocol, self.host, self.port)
        except TimeoutError:
            raise
        except OSError as error:
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror or str(error)  # not asyncio's own words
            raise self._error(reason, "is it on, and the address right?") from error
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def _error(self, reason: str, remedy: str) -> ComponentError:
        return ComponentError(f"the device at {host_port(self.host, self.port)}: {reason}; {remedy}")
