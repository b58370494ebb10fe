"""Records for files of an archive."""

import numpy as np

from rawdaq.miniseed.maker import Record, RecordFormat
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from tests.record_makers import RecordMaker


def records(version: int, count: int, length_bytes: int = 512) -> list[Record]:
    """Return *count* records; those of miniSEED 3 differ in length."""
    maker = RecordMaker(RecordFormat(version, length_bytes))
    made: list[Record] = []
    for index in range(count):
        samples = np.arange(1 + 7 * index % 90, dtype=np.int32) * 997
        maker.add([Packet(StreamId.parse("XX.DEMO.00.HHZ"), index * 10**12, 100.0, samples)], 0)
        made += maker.flush()
    return made


def joined(some: list[Record]) -> bytes:
    return b"".join(record.data for record in some)
