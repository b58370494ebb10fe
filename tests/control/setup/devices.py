"""RAW devices that ``init`` can ask: they play at once what a device sends within seconds."""

import time
from collections.abc import Awaitable, Callable, Mapping

import numpy as np

from rawdaq.times import NS_PER_S
from tests.fake_device import Described, Session, wire, wire_1

THREE = {1: Described(), 2: Described(), 3: Described()}
#: Half a second after half a second, up to now.
PACKETS = 6


def playing(
    channels: Mapping[int, Described],
    *,
    version: str = "2.0",
    true_hz: float | None = None,
    late_s: float = 0.0,
    quality: int = 100,
    value: int | None = None,
) -> Callable[[Session], Awaitable[None]]:
    """Return what a device with *channels* does on each connection.

    Args:
        channels: what it says of each; half a second of samples is a packet.
        version: the only version that it speaks.
        true_hz: the rate that its time stamps mean, where that is not the one that it says.
        late_s: how far its clock is behind.
        quality: its timing quality.
        value: what all its samples are.
    """

    async def play(session: Session) -> None:
        if not await session.handshake(channels, version):
            return
        begin_ns = time.time_ns() - round((late_s + PACKETS / 2) * NS_PER_S)
        for number in range(PACKETS):
            for channel, described in channels.items():
                rate_hz = float(described.rate)
                count = round(rate_hz / 2)
                start_ns = begin_ns + round(number * count / (true_hz or rate_hz) * NS_PER_S)
                kind = np.dtype(described.kind).newbyteorder("<" if described.order == "little" else ">")
                samples = np.arange(count) if value is None else np.full(count, value)
                data = samples.astype(kind).tobytes()
                packet = wire(channel, start_ns, data, count, quality) if version == "2.0" else None
                await session.send(packet or wire_1(channel, start_ns, data, count))
        await session.until_closed()

    return play
