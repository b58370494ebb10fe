"""A record of miniSEED as packets of ISI."""

from typing import Final

from rawdaq.miniseed.reader import read_record
from rawdaq.packet import Marks
from rawdaq.protocols.isi import MAX_DATA_BYTES, Compression, IsiName, IsiPacket, TimeStatus, encode_packet
from rawdaq.times import sample_time

_QUESTIONABLE: Final = 2  # flags of miniSEED 3: the time tag, and the clock
_LOCKED: Final = 4


def to_payloads(record: bytes, name: IsiName, is_compressed: bool) -> list[bytes]:
    """Return a record as payloads of frames, as few as hold its samples; none when it holds no samples of a waveform.

    Args:
        record: of miniSEED.
        name: how ISI calls its stream.
        is_compressed: whether the samples are compressed where that makes them shorter.

    Raises:
        RecordUnreadable: it is no record, or it is damaged.
    """
    info, content = read_record(record)
    samples = content.samples
    if samples is None or not info.rate_hz:
        return []
    status = _status(content.timing_quality, content.marks)
    compression = Compression.IDA if is_compressed else Compression.NONE
    step = MAX_DATA_BYTES // samples.itemsize
    payloads: list[bytes] = []
    for begin in range(0, len(samples), step):
        piece = samples[begin : begin + step]
        first_ns, last_ns = (
            sample_time(info.start_ns, index, info.rate_hz) for index in (begin, begin + len(piece) - 1)
        )
        payloads.append(encode_packet(IsiPacket(name, info.rate_hz, first_ns, last_ns, piece, status), compression))
    return payloads


def _status(timing_quality: int | None, marks: Marks | None) -> int:
    """Return what a record says of its clock."""
    flags = marks.flags if marks is not None else 0
    status = TimeStatus(0) if timing_quality is None else TimeStatus.QUALITY | timing_quality << 8
    status |= TimeStatus.LOCKED if flags & _LOCKED else 0
    status |= TimeStatus.SUSPECT if flags & _QUESTIONABLE else 0
    return status or TimeStatus.UNKNOWN
