"""Waveform files are read as they are, other files are refused with a reason, and pictures are drawn."""

import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.packet import Packet, SampleType
from rawdaq.replay.waveforms import WaveformError, plot, read_waveforms, waveform_extent
from rawdaq.stream_id import StreamId

obspy: Any = import_module("obspy")  # it has no types
PNG = b"\x89PNG\r\n\x1a\n"


def _packet(start_ns: int = 0, rate_hz: float = 100.0, channel: str = "HHZ", size: int = 50) -> Packet:
    samples = np.arange(size, dtype=">i4")
    return Packet(StreamId("XX", "DEMO", "00", channel), start_ns, rate_hz, samples)


def test_without_a_file_the_bundled_seismogram_is_read() -> None:
    waveforms = read_waveforms()
    assert [one.name for one in waveforms] == ["BW.RJOB..EHZ", "BW.RJOB..EHN", "BW.RJOB..EHE"]
    assert {(one.start_ns, one.rate_hz, one.samples.size) for one in waveforms} == {
        (1_251_073_203_000_000_000, 100.0, 3000)
    }
    assert np.abs(waveforms[0].samples).max() > 1000


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_a_file_gives_back_the_samples_that_were_written(tmp_path: Path, dtype: str) -> None:
    data = np.array([1, -2, 3, 2**20], dtype=dtype)
    start = obspy.UTCDateTime(ns=1_795_219_200_123_456_000)
    obspy.Trace(data, {"station": "A", "sampling_rate": 62.5, "starttime": start}).write(str(tmp_path / "a"), "MSEED")
    (waveform,) = read_waveforms(tmp_path / "a")
    assert waveform.name == ".A.."
    assert (waveform.start_ns, waveform.rate_hz) == (1_795_219_200_123_456_000, 62.5)
    assert waveform.samples.dtype.newbyteorder("=") == np.dtype(dtype)
    assert waveform.samples.tolist() == data.tolist()


def test_runs_of_one_stream_come_in_order_of_time(tmp_path: Path) -> None:
    late, early = (
        obspy.Trace(np.arange(5, dtype="int32"), {"starttime": obspy.UTCDateTime(second)}) for second in (90, 10)
    )
    obspy.Stream([late, early]).write(str(tmp_path / "two"), "MSEED")
    assert [one.start_ns for one in read_waveforms(tmp_path / "two")] == [10 * 10**9, 90 * 10**9]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, -5], "int32"), ([2**31 - 1, -(2**31)], "int32"), ([2**31, 0], "float64"), ([0, -(2**31) - 1], "float64")],
)
def test_wide_integers_become_a_type_that_holds_them(tmp_path: Path, values: list[int], expected: str) -> None:
    obspy.Stream([obspy.Trace(np.array(values, dtype="int64"))]).write(str(tmp_path / "a.pkl"), "PICKLE")
    (waveform,) = read_waveforms(tmp_path / "a.pkl")
    assert waveform.samples.dtype == np.dtype(expected)
    assert waveform.samples.tolist() == values


def test_masked_samples_are_a_gap(tmp_path: Path) -> None:
    data = np.ma.masked_array(np.arange(10, dtype="int32"), [False] * 4 + [True] * 3 + [False] * 3)
    stream = obspy.Stream([obspy.Trace(data, {"sampling_rate": 10.0})])
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(stream))  # ObsPy writes no masked samples, but some formats have them
    first, second = read_waveforms(tmp_path / "a.pkl")
    assert (first.samples.tolist(), second.samples.tolist()) == ([0, 1, 2, 3], [7, 8, 9])
    assert second.start_ns - first.start_ns == 700_000_000


def test_a_name_that_looks_like_a_pattern_is_one_file(tmp_path: Path) -> None:
    for name, value in (("a[1].sac", 1.0), ("a1.sac", 2.0)):
        obspy.Trace(np.full(3, value, "float32"), {"channel": "HHZ"}).write(str(tmp_path / name), "SAC")
    (waveform,) = read_waveforms(tmp_path / "a[1].sac")
    assert waveform.samples.tolist() == [1.0] * 3


@pytest.mark.parametrize("form", ["SAC", "PICKLE", "MSEED"])
def test_extent_reaches_from_the_first_sample_to_the_last(tmp_path: Path, form: str) -> None:
    start = obspy.UTCDateTime(ns=1_795_219_200_000_000_000)
    obspy.Trace(np.zeros(11, "float32"), {"starttime": start, "sampling_rate": 10.0}).write(str(tmp_path / "a"), form)
    assert waveform_extent(tmp_path / "a") == (1_795_219_200_000_000_000, 1_795_219_201_000_000_000)


def test_nothing_has_no_extent(tmp_path: Path) -> None:
    obspy.Stream([obspy.Trace()]).write(str(tmp_path / "a"), "PICKLE")
    with pytest.raises(WaveformError, match="holds no samples of a waveform"):
        waveform_extent(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("absent", None, "cannot read .*absent: No such file"),
        (
            "text",
            b"These are not the samples you are looking for.",
            "not a waveform file that ObsPy reads: Unknown format",
        ),
        ("empty", b"", "not a waveform file that ObsPy reads"),
    ],
)
def test_a_file_without_waveforms_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WaveformError, match=reason):
        read_waveforms(tmp_path / name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WaveformError, match="Is a directory"):
        read_waveforms(tmp_path)


def test_a_file_of_text_records_holds_no_samples(tmp_path: Path) -> None:
    log = obspy.Trace(np.frombuffer(b"boot", dtype="S1"), {"station": "A", "channel": "LOG"})
    log.write(str(tmp_path / "log"), "MSEED")
    with pytest.raises(WaveformError, match="holds no samples"):
        read_waveforms(tmp_path / "log")


def test_a_picture_of_two_streams_with_a_gap_is_drawn(tmp_path: Path) -> None:
    plot([_packet(), _packet(10**9), _packet(channel="HHN"), _packet(size=0)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_nothing_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(WaveformError, match="no samples to draw"):
        plot([_packet(size=0)], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_stream_that_changes_its_rate_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(WaveformError, match=r"cannot draw .*sampling rate"):
        plot([_packet(), _packet(10**9, rate_hz=50.0)], tmp_path / "a.png")


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(WaveformError, match="cannot draw"):
        plot([_packet()], tmp_path / "absent" / "a.png")


def test_every_sample_type_can_be_drawn(tmp_path: Path) -> None:
    stream = StreamId("XX", "DEMO", "", "HHZ")
    packets = [Packet(stream, n * 10**9, 9.0, np.arange(9).astype(kind)) for n, kind in enumerate(SampleType)]
    plot(packets, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
