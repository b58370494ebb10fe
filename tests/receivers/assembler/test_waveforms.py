"""Readouts that follow each other are waveforms; what is missing is a gap."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rawdaq.packet import Packet
from rawdaq.receivers.assembler.options import StreamSettings
from rawdaq.receivers.assembler.waveforms import Waveforms
from rawdaq.streams.assembly.values import Readout, Reason
from rawdaq.times import NS_PER_S
from tests.makers import START_NS
from tests.receivers.assembler.senders import MS, SAMPLES, STATION, assembling, datagram, values

STREAMS = StreamSettings(rate_hz=10, names="{slot:02d}.S_H_{channel:02d}").streams(STATION, 3, 2)
INTERVAL_NS = NS_PER_S // 10


def readout(number: int, slots: tuple[int, ...] = (0, 1, 2), epoch: int = 0, **changes: Any) -> Readout:
    time_ns = changes.pop("time_ns", START_NS + number * INTERVAL_NS)
    received_ns = changes.pop("received_ns", time_ns)
    return Readout(number, epoch, time_ns, received_ns, slots, [], Reason.TIMER, **changes)


def codes(number: int, slots: tuple[int, ...] = (0, 1, 2), kind: str = "<i2") -> npt.NDArray[Any]:
    """Return values that say slot, channel and number."""
    return np.array([[slot * 1000 + channel * 100 + number for channel in range(2)] for slot in slots], kind)


def run(waveforms: Waveforms, *numbers: int, slots: tuple[int, ...] = (0, 1, 2)) -> list[Packet]:
    return [packet for number in numbers for packet in waveforms.add(readout(number, slots), codes(number, slots))]


def shown(packets: list[Packet], stream: str) -> list[tuple[int, list[int]]]:
    return [
        ((each.start_ns - START_NS) // INTERVAL_NS, each.samples.tolist())
        for each in packets
        if str(each.stream) == stream
    ]


def make(**options: Any) -> Waveforms:
    return Waveforms(STREAMS, 10.0, options.pop("block_s", 1.0), from_arrival=options.pop("from_arrival", False))


def test_a_block_of_readouts_is_a_packet_of_each_channel() -> None:
    waveforms = make()
    assert run(waveforms, *range(9)) == []
    packets = run(waveforms, 9)
    assert len(packets) == 6
    assert {(each.start_ns, each.rate_hz, each.size, str(each.dtype)) for each in packets} == {
        (START_NS, 10, 10, "int32")
    }
    assert shown(packets, "XX.ARRAY.02.S_H_01") == [(0, [2100 + number for number in range(10)])]
    assert not waveforms.is_waiting


def test_a_missing_readout_is_a_gap() -> None:
    waveforms = make()
    packets = run(waveforms, 0, 1, 3, 4) + waveforms.flush()
    assert shown(packets, "XX.ARRAY.00.S_H_00") == [(0, [0, 1]), (3, [3, 4])]


def test_a_missing_row_is_a_gap_of_its_streams_only() -> None:
    waveforms = make()
    packets = run(waveforms, 0, 1) + run(waveforms, 2, slots=(0, 2)) + run(waveforms, 3) + waveforms.flush()
    assert shown(packets, "XX.ARRAY.00.S_H_00") == [(0, [0, 1, 2, 3])]
    assert shown(packets, "XX.ARRAY.01.S_H_01") == [(0, [1100, 1101]), (3, [1103])]


@pytest.mark.parametrize(("off_ns", "pieces"), [(49 * MS, 1), (-49 * MS, 1), (51 * MS, 2), (-51 * MS, 2)])
def test_half_a_sample_is_the_limit(off_ns: int, pieces: int) -> None:
    waveforms = make()
    packets = waveforms.add(readout(0), codes(0))
    packets += waveforms.add(readout(1, time_ns=START_NS + INTERVAL_NS + off_ns), codes(1))
    packets += waveforms.flush()
    assert len(packets) == 6 * pieces


def test_a_drift_of_the_senders_is_followed_packet_by_packet() -> None:
    waveforms = make(block_s=0.2)
    times = [START_NS + number * (INTERVAL_NS + MS) for number in range(6)]
    packets = [
        packet
        for number, time_ns in enumerate(times)
        for packet in waveforms.add(readout(number, time_ns=time_ns), codes(number))
    ]
    assert [each.start_ns for each in packets[::6]] == times[::2]


def test_an_epoch_is_a_new_segment() -> None:
    waveforms = make()
    packets = waveforms.add(readout(0), codes(0))
    packets += waveforms.add(readout(1, epoch=1), codes(1)) + waveforms.flush()
    assert len(packets) == 12


def test_the_time_of_devices_can_be_mapped_by_the_least_delay() -> None:
    waveforms = make(from_arrival=True, block_s=0.0)
    delays_ns = [7 * MS, 3 * MS, 9 * MS]
    found: list[int] = []
    for epoch in (0, 1):
        for number, delay_ns in enumerate(delays_ns):
            said_ns = number * INTERVAL_NS
            one = readout(number, epoch=epoch, time_ns=said_ns, received_ns=START_NS + said_ns + delay_ns)
            found.append(waveforms.add(one, codes(number))[0].start_ns - START_NS - said_ns)
    assert found == [7 * MS, 3 * MS, 3 * MS] * 2


def test_a_late_fragment_is_published_at_once() -> None:
    waveforms = make()
    run(waveforms, 0, 2)
    packets = waveforms.add(readout(1, (1,), late=True), codes(1, (1,)))
    assert [str(each.stream) for each in packets] == ["XX.ARRAY.01.S_H_00", "XX.ARRAY.01.S_H_01"]
    assert waveforms.is_waiting


@pytest.mark.parametrize(
    ("kind", "sample_type"),
    [("<i2", "int32"), (">u2", "int32"), ("<i4", "int32"), ("<u4", "float64"), ("<i8", "float64"), (">f4", "float32")],
)
def test_values_have_a_type_that_samples_can_have(kind: str, sample_type: str) -> None:
    waveforms = make(block_s=0.0)
    packets = waveforms.add(readout(0), codes(5, kind=kind))
    assert packets[-1].sample_type == sample_type
    assert packets[-1].samples.tolist() == [2105]


def test_readouts_with_many_samples_are_joined() -> None:
    waveforms = Waveforms(STREAMS, 40.0, 0.2, from_arrival=False)
    block = np.arange(3 * 2 * 4, dtype="<f4").reshape(3, 2, 4)
    assert waveforms.add(readout(0), block) == []
    packets = waveforms.add(readout(1), block + 100)
    assert packets[1].samples.tolist() == [4, 5, 6, 7, 104, 105, 106, 107]


async def test_an_assembler_publishes_waveforms_beside_its_readouts() -> None:
    options: dict[str, Any] = {"values": "raw", "max_wait_s": 60, "absent_s": 60}
    streams = StreamSettings(rate_hz=400, names="HH{slot}", block_s=0.1)
    async with assembling(2, streams=streams, **options) as bench:
        for instant in range(25):
            for slot in (0, 1):
                bench.send(slot, datagram(slot, instant))
        await bench.published(25)
    packets = [each for each in bench.keeper.packets if str(each.stream) == "XX.ARRAY..HH1"]
    assert [each.size for each in packets] == [40, 40, 20]
    assert [each.sequence for each in packets] == [0, 1, 2]
    joined = np.concatenate([each.samples for each in packets])
    assert joined.tolist() == np.concatenate([values(1, instant) for instant in range(25)]).tolist()
    assert joined.size == 25 * SAMPLES
