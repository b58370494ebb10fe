"""Looks for every sample that was journalled, and knows each of them by its value."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rawdaq.journal.folder import items
from rawdaq.miniseed.file import RecordFile
from rawdaq.miniseed.reader import RecordUnreadable, read_record
from rawdaq.packet import Packet, PacketRun
from rawdaq.store.inspect import StoreView
from rawdaq.store.values import Loss
from rawdaq.times import from_iso, sample_time

CHANNELS = {1: "HHZ", 2: "HHN", 3: "HHE"}
RATE_HZ = 100.0
PACKET_SAMPLES = 100
START_NS = from_iso("2026-11-20T23:30:00Z")  # so that a day ends in most runs
STREAMS = [f"XX.RIG.00.{code}" for code in CHANNELS.values()]

Numbers = npt.NDArray[np.int64]


class Verdict(NamedTuple):
    """What became of the samples.

    Attributes:
        journalled: how many samples the journal holds.
        missing: how many of them the archive does not; where nothing was killed or cut, of all that was fed.
        duplicated: how many samples the archive has more than once.
        wrong: how many samples of the archive have another time than was fed.
        lost: how many entries of the journal cannot be read.
    """

    journalled: int
    missing: int
    duplicated: int
    wrong: int
    lost: int


def journalled(folder: Path) -> tuple[dict[str, Numbers], int]:
    """Return the samples of each stream in the journal, and how many entries cannot be read."""
    losses: list[Loss] = []
    pieces: dict[str, list[npt.NDArray[np.int32]]] = {stream: [] for stream in STREAMS}
    with StoreView.of(folder, losses.append) as view:
        for item in items(view):
            if isinstance(item, Packet | PacketRun):
                pieces[str(item.stream)].append(item.samples.ravel())
    return {stream: _joined(each) for stream, each in pieces.items()}, sum(loss.entries for loss in losses)


def archived(folder: Path) -> tuple[dict[str, Numbers], int]:
    """Return the samples of each stream in the archive, and how many have a wrong time."""
    pieces: dict[str, list[npt.NDArray[np.int32]]] = {stream: [] for stream in STREAMS}
    wrong = 0
    for path in sorted(folder.rglob("[!.]*.D.*")):
        file = RecordFile(path, lambda path, text: None)
        for raw in file.records(0, file.size_bytes):
            try:
                info, content = read_record(raw.data)
            except RecordUnreadable:
                continue
            if content.samples is not None:
                pieces[info.name].append(content.samples)
                wrong += len(content.samples) * (
                    info.start_ns != sample_time(START_NS, int(content.samples[0]), RATE_HZ)
                )
                wrong += int((np.diff(content.samples) != 1).sum())
    return {stream: _joined(each) for stream, each in pieces.items()}, wrong


def _joined(pieces: list[npt.NDArray[np.int32]]) -> Numbers:
    return np.concatenate(pieces).astype(np.int64) if pieces else np.empty(0, np.int64)


def compare(root: Path) -> Verdict:
    """Return what became of all samples of a run."""
    kept, lost = journalled(root / "journal")
    found, wrong = archived(root / "archive")
    counts: Counter[str] = Counter()
    for stream in STREAMS:
        expected, numbers = np.unique(kept[stream]), found[stream]
        there = np.unique(numbers)
        counts["missing"] += len(np.setdiff1d(expected, there, assume_unique=True))
        counts["duplicated"] += len(numbers) - len(there)
        counts["journalled"] += len(expected)
    return Verdict(counts["journalled"], counts["missing"], counts["duplicated"], wrong, lost)
