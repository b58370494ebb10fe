"""Metadata of a station: an ObsPy inventory of what a device offers, and StationXML of it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rawdaq.config import StationSettings
from rawdaq.config.channels import station_stream
from rawdaq.control.setup.codes import SENSORS
from rawdaq.control.setup.response import Chain, response
from rawdaq.control.setup.scml import Inventory
from rawdaq.control.setup.station import Row
from rawdaq.times import to_iso

_DIRECTIONS: Mapping[str, tuple[float, float]] = {"Z": (0.0, -90.0), "N": (0.0, 0.0), "E": (90.0, 0.0)}  # azimuth, dip


@dataclass(frozen=True)
class Place:
    """Where the station is.

    Attributes:
        latitude: in degrees, WGS 84.
        longitude: in degrees, WGS 84.
        elevation_m: of the ground, above the geoid.
        depth_m: of the sensors, below the ground.
        site: the name of the place.
    """

    latitude: float
    longitude: float
    elevation_m: float
    depth_m: float = 0.0
    site: str = ""


def inventory(
    station: StationSettings, rows: Sequence[Row], place: Place, chains: Mapping[int, Chain], start_ns: int
) -> Inventory:
    """Return the metadata of *station*.

    Args:
        station: its codes.
        rows: its channels.
        place: where it is.
        chains: sensor and digitizer of each channel.
        start_ns: from when on they hold.

    Raises:
        ComponentError: a response file cannot be read or does not fit.
    """
    import obspy
    from obspy.core import inventory as parts

    start = obspy.UTCDateTime(to_iso(start_ns, 0))
    made: Any = parts.Station(
        station.code,
        place.latitude,
        place.longitude,
        place.elevation_m,
        channels=[_channel(station, row, place, chains[row.channel], start) for row in rows],
        site=parts.Site(name=place.site or station.code),
        creation_date=start,
        start_date=start,
        total_number_of_channels=len(rows),
        selected_number_of_channels=len(rows),
    )
    network = parts.Network(station.network, stations=[made], start_date=start)
    return parts.Inventory([network], source="rawdaq", sender=station.network, module="rawdaq")


def _channel(station: StationSettings, row: Row, place: Place, chain: Chain, start: Any) -> Any:
    from obspy.core.inventory import Channel, Equipment

    stream = station_stream(station, row.code)
    azimuth, dip = _DIRECTIONS.get(stream.channel[-1], (None, None))
    sensor = SENSORS[row.sensor]
    return Channel(
        stream.channel,
        stream.location,
        place.latitude,
        place.longitude,
        place.elevation_m,
        place.depth_m,
        azimuth=azimuth,
        dip=dip,
        sample_rate=row.rate_hz,
        sensor=Equipment(type=row.sensor, description=f"{row.sensor} sensor: {sensor.meaning}"),
        data_logger=Equipment(type="digitizer", description=f"channel {row.channel} of the RAW device"),
        response=response(chain, sensor, row.rate_hz),
        start_date=start,
    )


def stationxml(made: Inventory) -> str:
    """Return *made* as StationXML, which is valid by its schema."""
    opened = io.BytesIO()
    made.write(opened, format="STATIONXML", validate=True)
    return opened.getvalue().decode()
