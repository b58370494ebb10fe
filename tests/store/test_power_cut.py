"""A power cut: what was synced is there, what is there is right, and no position is given out twice."""

import random
import shutil
from pathlib import Path

import pytest

from rawdaq.store.retention import Retention
from tests.store import logs
from tests.store.faults import FaultyDisk

LOGS, CUTS = 5, 14  # new logs are short, which are read again and again


@pytest.mark.parametrize("mode", ["grow", "ready", "recycled"])
def test_what_was_synced_survives_a_cut_and_nothing_wrong_is_read(tmp_path: Path, disk: FaultyDisk, mode: str) -> None:
    chance = random.Random(mode)
    for log in range(LOGS):
        disk.forget()
        cut_again_and_again(tmp_path / f"log {log}", disk, mode, chance)


def cut_again_and_again(folder: Path, disk: FaultyDisk, mode: str, chance: random.Random) -> None:
    number = 0
    given: dict[int, logs.Entry] = {}
    retention = Retention(6 * logs.SEGMENT_BYTES, drops_needed=True) if mode == "recycled" else None
    store = logs.store(folder, retention=retention)
    store.open()
    for cut in range(CUTS):
        for _ in range(chance.randrange(8)):
            count = chance.randrange(1, 6)
            given |= zip(store.append(logs.entries(number, count)), logs.entries(number, count), strict=True)
            number += count
            if chance.random() < 0.3:
                store.sync()
            if chance.random() < 0.3:
                store.maintain()
            if mode == "ready" and store._writer is not None:
                store._writer.extend(1024)
        image = folder.with_name(f"cut {cut}")
        disk.after_power_cut(folder, image, chance)
        if cut % 4 == 0:
            for index in image.glob("*.idx"):
                index.write_bytes(b"" if cut % 8 else index.read_bytes()[:-1])
        check(image, given, store.oldest_position, store.synced_position)
        shutil.rmtree(image)
    store.close()


def check(image: Path, given: dict[int, logs.Entry], oldest: int, synced: int) -> None:
    with logs.store(image, identity="after the cut") as store:
        found, _ = logs.read_all(store.reader())
        assert all(given[each.position] == logs.content(each) for each in found)
        kept = logs.positions(found)
        assert kept == sorted(set(kept))
        assert {position for position in given if oldest <= position < synced} <= set(kept)
        assert store.next_position > max(given, default=0)
        new = store.append(logs.entries(7, 3))
        assert new.start > max(given, default=0)
        assert logs.contents(logs.read_all(store.reader(new.start))[0]) == logs.entries(7, 3)
        found, lost = logs.read_all(store.reader())
        for stream in logs.STREAMS:
            time_ns = logs.START_NS + 10 * logs.NS_PER_S
            known = [(each.position, each.end_ns) for each in found if each.stream == stream]
            known += [(loss.first, loss.end_ns or 0) for loss in lost if loss.stream == stream]  # its header is there
            fits = [position for position, end_ns in known if end_ns >= time_ns]
            assert store.find(stream, time_ns) == min(fits, default=None)
