"""Where stations are: as their station file says, or a StationXML file beside it."""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from pydantic import ValidationError

from rawdaq.config import ComponentSettings
from rawdaq.control.web.models import Coordinates

_LOG = logging.getLogger("rawdaq.web")
_MAX_XML_BYTES = 64 << 20  # responses of a large network; more is no list of a few stations
_ELEMENTS = {"latitude_deg": "Latitude", "longitude_deg": "Longitude", "elevation_m": "Elevation"}
_XML = (".xml", ".stationxml")


class Places:
    """Coordinates of stations; files are read again when they change. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_files: dict[Path, tuple[tuple[int, int], Mapping[str, Coordinates]]] = {}

    def of(self, components: Iterable[ComponentSettings]) -> dict[str, Coordinates]:
        """Return the coordinates of the stations of *components*, those that are known."""
        found: dict[str, Coordinates] = {}
        wanted: dict[Path, set[str]] = {}
        for component in components:
            station = component.station
            if station.latitude_deg is not None and station.longitude_deg is not None:
                found[str(station)] = Coordinates(
                    latitude_deg=station.latitude_deg,
                    longitude_deg=station.longitude_deg,
                    elevation_m=station.elevation_m,
                )
            else:
                wanted.setdefault(component.file.parent, set()).add(str(station))
        for folder, stations in wanted.items():
            with self._lock:
                known = self._of_folder(folder)
            found |= {station: known[station] for station in stations if station in known and station not in found}
        return found

    def _of_folder(self, folder: Path) -> dict[str, Coordinates]:
        """Return what the StationXML files of *folder* say; of two that say something, the later by name."""
        found: dict[str, Coordinates] = {}
        try:
            files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _XML)
        except OSError:
            return found
        for file in files:
            found |= self._of_file(file)
        return found

    def _of_file(self, file: Path) -> Mapping[str, Coordinates]:
        try:
            seen = file.stat()
        except OSError:
            return {}
        mark = seen.st_mtime_ns, seen.st_size
        known = self._of_files.get(file)
        if known is None or known[0] != mark:
            known = self._of_files[file] = mark, _read(file, seen.st_size)
        return known[1]


def _read(file: Path, size_bytes: int) -> Mapping[str, Coordinates]:
    if size_bytes > _MAX_XML_BYTES:
        _LOG.warning("%s is not read for coordinates: it has more than %d MB", file, _MAX_XML_BYTES >> 20)
        return {}
    try:
        return dict(_stations(file))
    except (ElementTree.ParseError, OSError, ValueError) as error:
        _LOG.warning("%s is no StationXML: %s", file, error)
        return {}


def _stations(file: Path) -> Iterator[tuple[str, Coordinates]]:
    """Yield the stations of a StationXML file; FDSN StationXML 1: Network, Station, Latitude, Longitude, Elevation."""
    network = ""
    for event, element in ElementTree.iterparse(file, events=("start", "end")):
        name = element.tag.rpartition("}")[2]
        if event == "start" and name == "Network":
            network = element.get("code", "")
        elif event == "end" and name == "Station":
            if (coordinates := _coordinates(element)) is not None:
                yield f"{network}.{element.get('code', '')}", coordinates
            element.clear()


def _coordinates(station: ElementTree.Element) -> Coordinates | None:
    texts = {child.tag.rpartition("}")[2]: child.text for child in station}
    try:
        return Coordinates.model_validate({key: texts.get(name) for key, name in _ELEMENTS.items()})
    except ValidationError:
        return None
