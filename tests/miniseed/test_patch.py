"""What is patched must be what libmseed would have written."""

from collections.abc import Sequence

import numpy as np
import pytest

from rawdaq.miniseed.maker import Encoding, RecordFormat
from rawdaq.miniseed.patch import MAX_SEQUENCE, patched
from rawdaq.packet import Packet
from tests.makers import START_NS, STREAM
from tests.record_makers import RecordMaker

NOISE = np.random.default_rng(1).integers(-5000, 5000, 3000).astype("<i4")


def made(quality: int | None, start_ns: int, rate_hz: float, encoding: str = Encoding.STEIM2) -> list[bytes]:
    maker = RecordMaker(RecordFormat(encoding=encoding))
    packet = Packet(STREAM, start_ns, rate_hz, NOISE, quality)
    return [record.data for record in maker.add([packet], 0) + maker.flush()]


def as_they_are(records: Sequence[bytes], sequence: int, timing_quality: int | None) -> bytes:
    """Stands for `patched`."""
    return b"".join(records)


@pytest.mark.parametrize("rate_hz", [100.0, 62.5, 333.333, 1 / 60, 1e6, 40_000.0])
@pytest.mark.parametrize("offset_us", [0, 37, 100])
@pytest.mark.parametrize("quality", [0, 80, 100])
def test_a_patched_header_differs_from_one_of_libmseed_in_nothing(
    rate_hz: float, offset_us: int, quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_ns = START_NS + offset_us * 1000
    monkeypatch.setattr("rawdaq.miniseed.series.steim2", None)
    ours = made(quality, start_ns, rate_hz)
    # An encoding that leaves no room takes the other way: extra headers, which libmseed turns into both.
    monkeypatch.setattr("rawdaq.miniseed.packer.STEIM1", -1)
    monkeypatch.setattr("rawdaq.miniseed.packer.STEIM2", -1)
    monkeypatch.setattr("rawdaq.miniseed.packer.patched", as_they_are)
    theirs = made(quality, start_ns, rate_hz)
    assert [record[6:64] for record in ours] == [record[6:64] for record in theirs]
    assert ours[0] == theirs[0]
    assert len(ours) == len(theirs)


def test_numbers_begin_again_after_the_last() -> None:
    records = [bytes(128)] * 4
    data = patched(records, MAX_SEQUENCE - 1, None)
    assert [data[at : at + 6] for at in range(0, 512, 128)] == [b"999998", b"999999", b"000001", b"000002"]
