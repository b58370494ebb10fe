"""What SeedLink and ISI call a stream. In the ring it is called as DataLink calls it."""

from functools import lru_cache
from typing import NamedTuple

from rawdaq.protocols.datalink import PayloadType, datalink_id, payload_type, stream_of
from rawdaq.protocols.isi import IsiName
from rawdaq.protocols.seedlink.v4 import MAX_STATION_BYTES
from rawdaq.stream_id import StreamId

_MAX_NAMES = 1 << 16  # remembered
_ISI_SIZES = (7, 3, 2)  # of station, channel and location
_FORMATS: dict[str, str] = {PayloadType.MSEED: "2", PayloadType.MSEED3: "3"}


class SeedName(NamedTuple):
    """How SeedLink calls a stream.

    Attributes:
        network: its network code.
        station: its station code.
        location: its location code.
        channel: a SEED code of three letters, or ``BAND_SOURCE_SUBSOURCE``.
        format: ``2`` or ``3``, the version of its records.
    """

    network: str
    station: str
    location: str
    channel: str
    format: str

    @property
    def station_id(self) -> str:
        """``NET_STA``."""
        return f"{self.network}_{self.station}"


@lru_cache(_MAX_NAMES)
def seed_name(name: str) -> SeedName | None:
    """Return how SeedLink calls the stream *name*; None when it holds no miniSEED, or has a name that no client reads.

    >>> seed_name("FDSN:XX_DEMO_00_H_H_Z/MSEED")
    SeedName(network='XX', station='DEMO', location='00', channel='HHZ', format='2')
    >>> seed_name("FDSN:XX_DEMO_00_H_H_Z/JSON")
    """
    packet_format = _FORMATS.get(payload_type(name))
    if packet_format is None:
        return None
    stream = stream_of(name)
    if stream is None or len(stream.network) + 1 + len(stream.station) > MAX_STATION_BYTES:
        return None
    return SeedName(*stream, packet_format)


@lru_cache(_MAX_NAMES)
def ring_name(stream: StreamId, version: int) -> str:
    """Return how the ring calls a stream of records of this version of miniSEED."""
    return datalink_id(stream, PayloadType.MSEED3 if version == 3 else PayloadType.MSEED)


@lru_cache(_MAX_NAMES)
def isi_name(name: str) -> IsiName | None:
    """Return how ISI calls the stream *name*, without its network; None when it holds no miniSEED, or is too long.

    >>> isi_name("FDSN:XX_DEMO_00_H_H_Z/MSEED")
    IsiName(station='demo', channel='hhz', location='00')
    """
    seed = seed_name(name)
    if seed is None:
        return None
    codes = seed.station, seed.channel, seed.location
    if any(len(code) > size for code, size in zip(codes, _ISI_SIZES, strict=True)):
        return None
    return IsiName(*(code.lower() for code in codes))
