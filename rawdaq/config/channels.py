"""The channels of a RAW device in a station file: the ids that the device gives them, and the streams that they are."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId, check_code, split_code

#: The id of a channel; RAW 1.0 and 1.1 have 32 bits for it, 2.0 has 16.
ChannelId = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]

#: The name of a channel: ``[location.]channel``.
ChannelCode = Annotated[str, AfterValidator(check_code)]


def _check_not_empty(codes: dict[int, str]) -> dict[int, str]:
    if not codes:
        raise ValueError("at least one channel is needed, such as 1: HHZ")
    return codes


#: At least one channel, each with its code.
ChannelCodes = Annotated[dict[ChannelId, ChannelCode], AfterValidator(_check_not_empty)]


def station_stream(station: StationSettings, code: str) -> StreamId:
    """Return the stream of ``[location.]channel`` at *station*.

    Raises:
        InvalidValue: the code is invalid.
    """
    location, channel = split_code(code)
    return StreamId(station.network, station.code, station.location if location is None else location, channel)


def station_streams(station: StationSettings, codes: Mapping[int, str]) -> dict[int, StreamId]:
    """Return the stream of each channel.

    Raises:
        InvalidValue: two channels are one stream.
    """
    streams = {channel: station_stream(station, code) for channel, code in codes.items()}
    check_distinct(streams.values(), "channels")
    return streams


def check_distinct(streams: Iterable[StreamId], what: str) -> None:
    """Refuse *streams* of which two are the same.

    Raises:
        InvalidValue: the text names them.
    """
    twice = [str(stream) for stream, count in Counter(streams).items() if count > 1]
    if twice:
        raise InvalidValue(
            f"two {what} cannot be one stream ({', '.join(twice)}): give one of them another location or channel code"
        )
