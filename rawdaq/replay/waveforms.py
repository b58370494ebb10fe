"""Reads waveform files and draws pictures with ObsPy; the only module that imports it, and only when it is used.

Importing ObsPy takes seconds on a small computer and 100 MB; a receiver never needs it.
"""

import errno
import glob
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.packet import Packet, Samples, SampleType
from rawdaq.stream_id import StreamId
from rawdaq.times import is_contiguous

_TYPES = {np.dtype(kind.value) for kind in SampleType}
_INT32 = np.iinfo(np.int32)


class WaveformError(RawdaqError):
    """A file holds no waveforms that ObsPy reads, or a picture of these packets cannot be drawn."""


class Waveform(NamedTuple):
    """A gapless run of samples from a file; *name* is ``NET.STA.LOC.CHA`` as far as the file knows it."""

    name: str
    start_ns: int
    rate_hz: float
    samples: Samples


def read_waveforms(path: Path | None = None) -> list[Waveform]:
    """Return what *path* holds, in order of time; without a path the seismogram that ObsPy contains.

    That is an earthquake of 2009 at station RJOB in Bavaria: 30 s of EHZ, EHN and EHE at 100 Hz, float64. Runs that
    start together come as the file has them.

    Raises:
        WaveformError: the file cannot be read, ObsPy does not know its format, or it holds no samples.
    """
    found = [_waveform(trace) for trace in _read(path) if trace.stats.npts and trace.stats.sampling_rate > 0]
    waveforms = sorted((one for one in found if one.samples.dtype.kind in "if"), key=lambda one: one.start_ns)
    if not waveforms:
        raise WaveformError(f"{path} holds no samples of a waveform")
    return waveforms


def waveform_extent(path: Path) -> tuple[int, int]:
    """Return the times of the first and the last sample in *path*, from its headers where the format allows that.

    Raises:
        WaveformError: the file cannot be read, ObsPy does not know its format, or it holds no samples.
    """
    traces = [trace.stats for trace in _read(path, headonly=True) if trace.stats.npts and trace.stats.sampling_rate > 0]
    if not traces:
        raise WaveformError(f"{path} holds no samples of a waveform")
    return min(stats.starttime.ns for stats in traces), max(stats.endtime.ns for stats in traces)


def check_picture(path: Path) -> None:
    """Check that `plot` can write *path*, without touching it.

    Raises:
        InvalidValue: its name does not end like that of a picture.
        OSError: its folder does not exist, or it must not be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kinds = FigureCanvasAgg.get_supported_filetypes()
    kind = os.path.splitext(path)[1]
    if kind and kind[1:].lower() not in kinds:
        raise InvalidValue(f"{kind} is not a picture format; {path.name} should end in .{', .'.join(sorted(kinds))}")
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def plot(packets: Sequence[Packet], path: Path) -> None:
    """Draw *packets*, one panel a stream, into the PNG (or PDF, SVG) file *path*.

    Raises:
        WaveformError: there is nothing to draw, a stream changes its rate, or the file cannot be written.
    """
    obspy = _obspy()
    import matplotlib

    matplotlib.use("Agg")  # no display on a station
    traces = [
        obspy.Trace(np.concatenate([packet.samples for packet in run], dtype=np.float64), _header(run[0]))
        for run in _contiguous(packets)
    ]
    try:
        obspy.Stream(traces).plot(outfile=str(path), size=(1000, 250 * min(8, len({one.id for one in traces}))))
    except Exception as error:  # plain Exception is what ObsPy raises
        raise WaveformError(f"cannot draw {path}: {error}") from error


def _obspy() -> Any:
    """Return ObsPy; its warnings about the standard library are not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import obspy
    return obspy


def _read(path: Path | None, **options: Any) -> Any:
    obspy = _obspy()
    if path is None:
        return obspy.read()
    try:
        with path.open("rb"):  # its error is clearer than ObsPy's
            # A name may hold what ObsPy would take for a wildcard.
            stream = obspy.read(glob.escape(str(path)), **options)
    except OSError as error:
        raise WaveformError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # its format plugins raise any error
        raise WaveformError(f"{path} is not a waveform file that ObsPy reads: {error}") from error
    # Some formats fill their gaps with masked samples.
    return stream.split() if any(np.ma.isMaskedArray(trace.data) for trace in stream) else stream


def _waveform(trace: Any) -> Waveform:
    return Waveform(trace.id, trace.stats.starttime.ns, float(trace.stats.sampling_rate), _samples(trace.data))


def _samples(data: Samples) -> Samples:
    """Return *data* as a type that a stream can have: wider integers as int32 if they fit, others as float64."""
    if data.dtype.newbyteorder("=") in _TYPES or data.dtype.kind not in "iuf":
        return data
    if data.dtype.kind == "f" or data.min() < _INT32.min or data.max() > _INT32.max:
        return data.astype(np.float64)
    return data.astype(np.int32)


def _contiguous(packets: Sequence[Packet]) -> list[list[Packet]]:
    """Return lists of packets that follow each other, without empty ones: ObsPy is slow with many traces."""
    runs: list[list[Packet]] = []
    latest: dict[StreamId, list[Packet]] = {}
    for packet in packets:
        if not packet.samples.size:
            continue
        run = latest.get(packet.stream)
        if run is None or not _continues(run[-1], packet):
            run = latest[packet.stream] = []
            runs.append(run)
        run.append(packet)
    if not runs:
        raise WaveformError("there are no samples to draw")
    return runs


def _continues(before: Packet, packet: Packet) -> bool:
    return packet.rate_hz == before.rate_hz and is_contiguous(packet.start_ns, before.next_ns, packet.rate_hz)


def _header(packet: Packet) -> dict[str, Any]:
    stream = packet.stream
    return {
        "network": stream.network,
        "station": stream.station,
        "location": stream.location,
        "channel": stream.channel,
        "sampling_rate": packet.rate_hz,
        "starttime": _obspy().UTCDateTime(ns=packet.start_ns),
    }
