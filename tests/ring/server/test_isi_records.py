"""Records of any kind as packets of ISI, as a strict client gets them from a ring."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.miniseed.format import RecordFormat
from rawdaq.packet import Marks
from rawdaq.packet import Packet as Samples
from rawdaq.ring.names import ring_name
from rawdaq.ring.packets import NewPacket
from tests.isi.entries import NO_STATUS
from tests.isi.wire import (
    KEEPUP,
    NEWEST,
    NONE,
    OLDEST,
    REAL32,
    Rate,
)
from tests.record_makers import make
from tests.ring.isi_clients import ISI, STREAM, Z, client, numbers
from tests.ring.records import NS_PER_S, START_S, STREAMS, packet, start_ns
from tests.ring.rings import feed, serving


def put(
    samples: np.ndarray[Any, Any],
    version: int = 2,
    length: int = 512,
    quality: int | None = 63,
    marks: Marks | None = None,
) -> list[NewPacket]:
    """Return samples as records in a ring."""
    given = Samples(STREAM, start_ns(0), 62.5, samples, quality, marks=marks)
    made = make([given], RecordFormat(version, length))
    return [NewPacket(ring_name(STREAM, version), each.start_ns, each.end_ns, each.data) for each in made]


async def test_floats_rates_that_are_no_whole_number_and_the_state_of_the_clock(tmp_path: Path) -> None:
    samples = np.linspace(-1, 1, 50, dtype=np.float32)
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, put(samples))
        async with client(publisher) as peer:
            await peer.request_data(Z, OLDEST, NEWEST)
            got, _ = await peer.until_alert()
    [one] = got
    assert (one.rate, one.type, one.compression) == (Rate(125, -2), REAL32, NONE)
    assert one.statuses == (0x20 | 63 << 8,) * 2
    assert one.samples == tuple(samples.tolist())


@pytest.mark.parametrize(("flags", "status"), [(0, NO_STATUS), (4, 0x1), (2, 0x8), (6, 0x9), (1, NO_STATUS)])
async def test_what_a_record_says_of_its_clock(tmp_path: Path, flags: int, status: int) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, put(np.arange(9, dtype=np.int32), 3, quality=None, marks=Marks(flags=flags)))
        async with client(publisher) as peer:
            await peer.request_data(Z, OLDEST, NEWEST)
            [one], _ = await peer.until_alert()
    assert one.statuses == (status, status)


async def test_times_that_floats_do_not_hold_exactly_cost_no_packet(tmp_path: Path) -> None:
    def singles(first: int, count: int) -> list[NewPacket]:
        """Return records of one sample, each a third of a second after the other, to a nanosecond."""
        times = [
            START_S * NS_PER_S + 333_333_333 + round(index * NS_PER_S / 3) for index in range(first, first + count)
        ]
        made = [make([Samples(STREAM, time_ns, 3.0, np.ones(1, np.int32))], RecordFormat(3))[0] for time_ns in times]
        return [NewPacket(ring_name(STREAM, 3), each.start_ns, each.end_ns, each.data) for each in made]

    async with serving(tmp_path / "ring", **ISI) as publisher, client(publisher) as peer:
        await feed(publisher, singles(0, 1))
        await peer.request_data(Z, OLDEST, KEEPUP)
        for first in range(30):
            await peer.packets(1)
            await peer.aclose()
            await feed(publisher, singles(first + 1, 1))
            await peer.reconnect()
        async with client(publisher) as other:  # from one exactly to the next
            newest = peer.received[-1].tofs
            await other.request_data(Z, newest, newest)
            assert [each.tofs for each in (await other.until_alert())[0]] == [newest]
    assert [round((each.tofs - START_S) * 3) for each in peer.received] == list(range(1, 31))


async def test_a_record_that_no_frame_can_hold_is_cut(tmp_path: Path) -> None:
    samples = np.random.default_rng(3).integers(-(2**31), 2**31 - 1, 20_000, dtype=np.int32)
    async with serving(tmp_path / "ring", **ISI, format=3, length=1 << 17) as publisher:
        made = put(samples, 3, 1 << 17)
        await feed(publisher, made)
        async with client(publisher) as peer:
            await peer.request_data(Z, OLDEST, NEWEST)
            got, _ = await peer.until_alert()
    assert len(made) < len(got)
    assert [value for each in got for value in each.samples] == samples.tolist()
    assert all(a.tols + a.rate.interval_s == pytest.approx(b.tofs, abs=2e-6) for a, b in pairwise(got))


async def test_what_is_no_waveform_is_not_sent_and_what_is_damaged_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = bytearray(put(np.arange(10, dtype=np.int32), 3)[0].data)
    damaged[-1] ^= 1
    others = [
        NewPacket("FDSN:XX_AAA_00_H_H_Z/JSON", start_ns(0), start_ns(0), b"{}"),
        NewPacket(ring_name(STREAM, 3), start_ns(0), start_ns(0), bytes(damaged)),
    ]
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, [*others, packet(1, STREAMS[0])])
        for _ in range(2):
            async with client(publisher) as peer:
                await peer.request_data("*.*.*", OLDEST, NEWEST)
                got, _ = await peer.until_alert()
                assert numbers(got) == [1]
    [logged] = [each.message for each in caplog.records if "cannot be converted to ISI" in each.message]
    assert f"of {ring_name(STREAM, 3)} cannot be converted to ISI" in logged
    assert logged.endswith("its checksum is wrong")
