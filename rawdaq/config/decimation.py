"""The block ``Decimation`` of a station file: streams of a lower rate, and their names."""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rawdaq.config.document import Document
from rawdaq.config.options import Settings, Where
from rawdaq.stream_id import StreamId, selects_nothing

# FDSN source identifiers, channel codes, "Band Code": the lowest rate in Hz of each letter. Where there are two, the
# second is for sensors that reach 10 s and longer.
_SHORT_PERIOD: Mapping[float, str] = {5000: "J", 1000: "G", 250: "D", 80: "E", 10: "S"}
_BROADBAND: Mapping[float, str] = {5000: "J", 1000: "F", 250: "C", 80: "H", 10: "B"}
_SLOW: Mapping[float, str] = {1: "M", 0.1: "V", 0.01: "U", 0.001: "W", 0.0001: "R", 0.00001: "P", 0.000001: "T"}
_SLOWEST = "Q"
_NEAR_ONE = 0.05  # the table says "~ 1"

_BAND = re.compile("[A-Z]")


def _check_band(code: str) -> str:
    if not _BAND.fullmatch(code):
        raise ValueError(f"{code!r} is not a band code; it should be one capital letter, such as D")
    return code


def _check_location(code: str) -> str:
    return StreamId("A", "A", code, "HHZ").location


BandCode = Annotated[str, AfterValidator(_check_band)]
LocationCode = Annotated[str, AfterValidator(_check_location)]


class DecimationSettings(Settings):
    """One entry of ``Decimation``: streams of a lower rate, which are published beside their sources.

    >>> DecimationSettings(rate_hz=1000, streams=["XX.AE.*.JH?"]).type
    'float32'

    Attributes:
        rate_hz: their rate; the rate of the sources is a whole multiple of it.
        streams: shell-style patterns of the sources; an empty list means all.
        band: their band code; None: the code that FDSN has for the rate.
        location: their location; None: the location of the source.
        type: their sample type.
    """

    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    streams: list[str] = Field(default_factory=list)
    band: BandCode | None = None
    location: LocationCode | None = None
    type: Literal["float32", "float64", "int32"] = "float32"

    def names(self, sources: Iterable[StreamId]) -> dict[StreamId, StreamId]:
        """Return the name of the decimated stream of each of *sources* that the patterns select."""
        return {
            source: decimated_name(source, self.rate_hz, self.band, self.location)
            for source in sources
            if source.matches(self.streams)
        }


def band_code(rate_hz: float, source_code: str = "") -> str:
    """Return the band code of a stream of *rate_hz* whose sensor has a stream with the band code *source_code*.

    Only the letters F, C, H and B say that the sensor is a broadband one. For all others the short-period letters are
    taken: they do not claim that the sensor reaches below 0.1 Hz.

    >>> band_code(100, "C"), band_code(100, "D"), band_code(1000, "J"), band_code(1), band_code(0.1)
    ('H', 'E', 'G', 'L', 'V')
    """
    if abs(rate_hz - 1) <= _NEAR_ONE:
        return "L"
    is_broadband = source_code in _BROADBAND.values() and source_code != "J"
    letters = {**(_BROADBAND if is_broadband else _SHORT_PERIOD), **_SLOW}
    return next((letter for lowest_hz, letter in letters.items() if rate_hz >= lowest_hz), _SLOWEST)


def decimated_name(source: StreamId, rate_hz: float, band: str | None = None, location: str | None = None) -> StreamId:
    """Return the name of *source* decimated to *rate_hz*; *band* and *location* replace its own when they are given.

    >>> print(decimated_name(StreamId.parse("XX.AE.00.JHZ"), 1000))
    XX.AE.00.GHZ
    >>> print(decimated_name(StreamId.parse("XX.AE.00.B_RAW_Z"), 1, location="D0"))
    XX.AE.D0.L_RAW_Z
    """
    channel = source.channel
    own, rest = channel.split("_", 1) if "_" in channel else (channel[0], channel[1:])
    letter = band or band_code(rate_hz, own)
    named = f"{letter}_{rest}" if "_" in channel else letter + rest
    return StreamId(source.network, source.station, source.location if location is None else location, named)


def decimated_streams(
    document: Document, where: Where, entries: Mapping[str, DecimationSettings], sources: Sequence[StreamId]
) -> list[StreamId]:
    """Return the streams that *entries* make of *sources*; names that are taken are problems of the document.

    Args:
        document: the content of the file.
        where: the block.
        entries: the entries of the block, by name.
        sources: all streams of the receiver; empty when they are not known before it runs.
    """
    owners = dict.fromkeys(sources, "which the receiver publishes")
    for name, settings in entries.items():
        names = settings.names(sources)
        if sources and not names:
            document.add((*where, name, "streams"), selects_nothing(sources))
        before = frozenset(owners)
        for source, stream in names.items():
            if stream in owners:
                remedy = _propose_location(owners) if stream in before else _propose_entries(settings, names)
                document.add((*where, name), f"would make {stream} of {source}, {owners[stream]}; {remedy}")
            owners.setdefault(stream, f"which {name} makes of {source}")
    published = frozenset(sources)
    return [stream for stream in owners if stream not in published]


def _propose_location(streams: Iterable[StreamId]) -> str:
    """Return the remedy for a name that one of *streams* has: a location that none of them has."""
    taken = {stream.location for stream in streams}
    free = next(location for number in itertools.count() if (location := f"D{number}") not in taken)
    return f'give it a name of its own: location: "{free}"'


def _propose_entries(settings: DecimationSettings, sources: Collection[StreamId]) -> str:
    """Return the remedy for an entry that gives one name to several of *sources*."""
    remedy = "make one entry for each source, with `streams` and a `location` of its own"
    without = settings.model_copy(update={"location": None}).names(sources)
    return remedy if len(set(without.values())) < len(sources) else f"leave `location` out, or {remedy}"
