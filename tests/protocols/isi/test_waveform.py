"""Packets of ISI as packets of rawdaq."""

import numpy as np
import pytest

from rawdaq.errors import InvalidValue
from rawdaq.packet import Marks
from rawdaq.protocols.isi import IsiName, IsiPacket
from rawdaq.protocols.isi.waveform import stream_of, waveform_of
from tests.makers import START_NS, STREAM

SAMPLES = np.arange(10, dtype=">i4")


def packet(status: int = 0) -> IsiPacket:
    return IsiPacket(IsiName("demo", "hhz", "00"), 300.0, START_NS, START_NS + 30_000_000, SAMPLES, status)


@pytest.mark.parametrize(
    ("status", "quality", "marks"),
    [
        (0x0000, None, None),
        (0x0001, None, Marks(flags=4)),
        (0x0008, None, Marks(flags=2)),
        (0x0009, None, Marks(flags=6)),
        (0x6421, 100, Marks(flags=4)),
        (0x6521, None, Marks(flags=4)),  # 101 percent
        (0x0016, None, None),
        (0x8000, None, None),
        (0x8001, None, None),  # there is no information
    ],
)
def test_the_state_of_a_clock_is_quality_and_flags(status: int, quality: int | None, marks: Marks | None) -> None:
    made = waveform_of(packet(status), STREAM, 7)
    assert (made.timing_quality, made.marks, made.received_ns) == (quality, marks, 7)
    assert (made.start_ns, made.rate_hz, made.samples.tolist()) == (START_NS, 300.0, list(range(10)))


def test_what_is_left_out_at_the_begin_moves_the_time() -> None:
    made = waveform_of(packet(), STREAM, 0, 7)
    assert (made.start_ns, made.samples.tolist()) == (START_NS + 23_333_333, [7, 8, 9])


@pytest.mark.parametrize("name", [IsiName("a_k", "bhz"), IsiName("aak", "bz"), IsiName("aak", "bhz", "--")])
def test_a_name_that_no_stream_has_is_an_error(name: IsiName) -> None:
    with pytest.raises(InvalidValue):
        stream_of(name, "II")
