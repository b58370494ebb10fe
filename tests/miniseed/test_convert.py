"""Records that came whole: as they are where that is wanted, as miniSEED 3, or as packets."""

import numpy as np
import pytest

from rawdaq.miniseed.convert import NotConvertible, to_version_3, whole_record
from rawdaq.miniseed.format import Encoding, RecordFormat, RecordRun
from rawdaq.miniseed.reader import read_record
from rawdaq.miniseed.text import text_records
from rawdaq.packet import Packet
from tests.record_makers import NOISE, make, packets
from tests.ring.records import record, start_ns


@pytest.mark.parametrize("encoding", list(Encoding))
def test_version_3_holds_the_same_samples_at_the_same_time(encoding: Encoding) -> None:
    samples = (NOISE % 1000).astype("<f8" if encoding is Encoding.FLOAT64 else "<f4" if "float" in encoding else "<i4")
    made = make(packets(samples), RecordFormat(2, 512, encoding))
    for one in made:
        converted = to_version_3(one.data)
        assert converted[:3] == b"MS\x03"
        (before, content), (after, again) = read_record(one.data), read_record(converted)
        assert (before.name, before.start_ns, before.rate_hz) == (after.name, after.start_ns, after.rate_hz)
        assert content.samples is not None
        assert again.samples is not None
        assert np.array_equal(content.samples, again.samples)


def test_samples_of_either_byte_order_are_little_endian_in_version_3() -> None:
    converted = to_version_3(record(3))
    content = read_record(converted)[1]
    assert content.samples is not None
    assert content.samples.tolist() == list(range(300, 400))
    assert converted.endswith(np.arange(300, 400, dtype="<i4").tobytes())


@pytest.mark.parametrize("data", [b"", b"no record", record(0)[:100], bytes(512)])
def test_what_is_no_record_cannot_be_one(data: bytes) -> None:
    with pytest.raises(NotConvertible, match="libmseed"):
        to_version_3(data)
    assert whole_record(data, RecordFormat()) is None


def test_a_record_of_the_wanted_form_passes_as_it_is() -> None:
    run = whole_record(record(5), RecordFormat(encoding="float64"))
    assert isinstance(run, RecordRun)
    (one,) = run
    assert (str(one.stream), one.start_ns, one.sample_count, one.data) == ("XX.AAA.00.HHZ", start_ns(5), 100, record(5))
    assert one.end_ns == start_ns(5) + 990_000_000
    three = to_version_3(record(5))
    assert isinstance(whole_record(three, RecordFormat(3, 512)), RecordRun)


@pytest.mark.parametrize("wanted", [RecordFormat(2, 256), RecordFormat(3, 512), RecordFormat(2, 4096)])
def test_a_record_of_another_form_becomes_a_packet(wanted: RecordFormat) -> None:
    packet = whole_record(record(5), wanted)
    assert isinstance(packet, Packet)
    assert packet.samples.tolist() == list(range(500, 600))


def test_a_record_without_a_waveform_passes_only_as_it_is() -> None:
    text = text_records(b"the clock is locked", "LOG", network="XX", station="AAA", time_ns=start_ns(3))[0]
    run = whole_record(text, RecordFormat())
    assert isinstance(run, RecordRun)
    (one,) = run
    assert (str(one.stream), one.start_ns, one.end_ns, one.data) == ("XX.AAA..LOG", start_ns(3), start_ns(3), text)
    assert whole_record(text, RecordFormat(2, 1024)) is None
