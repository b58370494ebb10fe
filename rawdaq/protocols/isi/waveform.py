"""From packets of ISI to packets of rawdaq: names with a network, and what the status of a clock means."""

from rawdaq.packet import Marks, Packet
from rawdaq.protocols.isi.packets import IsiPacket
from rawdaq.protocols.isi.values import IsiName, Stamp, TimeStatus
from rawdaq.stream_id import StreamId
from rawdaq.times import sample_time

#: Flags of miniSEED 3.
_TIME_QUESTIONABLE = 2
_CLOCK_LOCKED = 4


def stream_of(name: IsiName, network: str) -> StreamId:
    """Return the stream that *name* is in *network*; ISI itself knows no networks.

    Raises:
        InvalidValue: no stream can be called so.

    >>> stream_of(IsiName("aak", "bhz", "00"), "II")
    StreamId(network='II', station='AAK', location='00', channel='BHZ')
    """
    return StreamId(network, name.station.upper(), name.location.upper(), name.channel.upper())


def waveform_of(packet: IsiPacket, stream: StreamId, received_ns: int, first: int = 0) -> Packet:
    """Return *packet* as one of *stream*, from its sample number *first* on.

    Args:
        packet: as it came.
        stream: whose samples these are.
        received_ns: when it came.
        first: as many samples are left out.

    Raises:
        InvalidValue: no packet can be so.
    """
    return Packet(
        stream,
        sample_time(packet.start_ns, first, packet.rate_hz),
        packet.rate_hz,
        packet.samples[first:],
        Stamp(packet.start_ns, packet.status).quality_percent,
        received_ns=received_ns,
        marks=_marks(packet.status),
    )


def _marks(status: int) -> Marks | None:
    if status & TimeStatus.UNKNOWN:
        return None
    locked = _CLOCK_LOCKED if status & TimeStatus.LOCKED else 0
    suspect = _TIME_QUESTIONABLE if status & TimeStatus.SUSPECT else 0
    return Marks(flags=locked | suspect) if locked or suspect else None
