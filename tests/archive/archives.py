"""An archive of three streams, for its tests."""

import logging
from pathlib import Path

import numpy as np

from rawdaq.archive.archive import Archive
from rawdaq.archive.layout import ArchiveLayout
from rawdaq.miniseed.maker import Record, RecordFormat
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso
from tests.record_makers import RecordMaker

START_NS = from_iso("2026-11-21T00:00:00Z")
Z, N, E = (StreamId.parse(f"XX.DEMO.00.HH{component}") for component in "ZNE")
LOG = logging.getLogger("rawdaq.publishers.test")


def records(*streams: StreamId, start_ns: int = START_NS, count: int = 1, version: int = 2) -> list[Record]:
    """Return *count* records of each of *streams*, in turn."""
    maker, made = RecordMaker(RecordFormat(version)), list[Record]()
    for index in range(count):
        for stream in streams:
            samples = np.arange(20, dtype=np.int32) + index
            maker.add([Packet(stream, start_ns + index * 10**9, 100.0, samples)], 0)
            made += maker.flush()
    return made


def opened(root: Path, layout: str = "sds", max_open_files: int = 10) -> Archive:
    archive = Archive(root, ArchiveLayout(layout), RecordFormat(), max_open_files, LOG, lambda: START_NS)
    archive.open()
    return archive


def sds(root: Path, stream: StreamId, day: str = "2026.325") -> Path:
    return root / "2026/XX/DEMO" / f"{stream.channel}.D" / f"{stream}.D.{day}"


def joined(some: list[Record], stream: StreamId) -> bytes:
    return b"".join(record.data for record in some if record.stream == stream)
