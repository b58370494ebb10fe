"""What the preview of a stream is called: the letter of its channel code that tells a rate tells the new one."""

from collections.abc import Mapping

from rawdaq.stream_id import StreamId

# FDSN source identifiers, channel codes, "Band Code": the lowest rate in Hz of each letter. Where there are two, the
# second is for sensors that reach 10 s and longer.
_SHORT_PERIOD: Mapping[float, str] = {5000: "J", 1000: "G", 250: "D", 80: "E", 10: "S"}
_BROADBAND: Mapping[float, str] = {5000: "J", 1000: "F", 250: "C", 80: "H", 10: "B"}
_SLOW: Mapping[float, str] = {1: "M", 0.1: "V", 0.01: "U", 0.001: "W", 0.0001: "R", 0.00001: "P", 0.000001: "T"}
_SLOWEST = "Q"
_NEAR_ONE = 0.05  # the table says "~ 1"


def band_code(rate_hz: float, like: str = "") -> str:
    """Return the band code of a stream of *rate_hz* from the same sensor as one with the band code *like*.

    Only the letters F, C, H and B say that a sensor is a broadband one; with any other the short-period letters are
    taken, since a band that does not reach below 0.1 Hz is no claim.

    >>> band_code(100, "C"), band_code(100, "D"), band_code(1000, "J"), band_code(1), band_code(0.1)
    ('H', 'E', 'G', 'L', 'V')
    """
    if abs(rate_hz - 1) <= _NEAR_ONE:
        return "L"
    letters = {**(_BROADBAND if like in _BROADBAND.values() and like != "J" else _SHORT_PERIOD), **_SLOW}
    return next((letter for lowest_hz, letter in letters.items() if rate_hz >= lowest_hz), _SLOWEST)


def preview_stream(source: StreamId, rate_hz: float, band: str | None = None, location: str | None = None) -> StreamId:
    """Return the name of the preview of *source* at *rate_hz*, with another *band* or *location* when they are given.

    >>> print(preview_stream(StreamId.parse("XX.AE.00.JHZ"), 1000))
    XX.AE.00.GHZ
    >>> print(preview_stream(StreamId.parse("XX.AE.00.B_RAW_Z"), 1, location="P0"))
    XX.AE.P0.L_RAW_Z
    """
    channel = source.channel
    own, rest = channel.split("_", 1) if "_" in channel else (channel[0], channel[1:])
    letter = band or band_code(rate_hz, own)
    named = f"{letter}_{rest}" if "_" in channel else letter + rest
    return StreamId(source.network, source.station, source.location if location is None else location, named)
