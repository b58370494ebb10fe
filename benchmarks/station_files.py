"""Station files of the components that are measured."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.loads import LOCATION, NETWORK, STATION, Load

#: The component's name.
COMPONENT = "Bench"

Publishers = Mapping[str, Mapping[str, object]]

_PIPE = {"pipe": {"class": "SeedLinkPluginPublisher"}}
_ARCHIVE = {"archive": {"class": "MiniSeedPublisher", "path": "archive"}}
_LIVE = {"live": {"class": "ZMQTCPPublisher", "ip": "127.0.0.1", "port": 0}}

#: The plugin pipe (full records, or a record for each packet), an archive, a live stream, and the three together.
TARGETS: dict[str, Publishers] = {
    "pipe": _PIPE,
    "flush": {"pipe": {"class": "SeedLinkPluginPublisher", "flush_each_packet": True}},
    "archive": _ARCHIVE,
    "live": _LIVE,
    "all": {**_PIPE, **_ARCHIVE, **_LIVE},
}


def write_station_file(
    folder: Path, load: Load, port: int, publishers: Publishers, station: str = STATION, *, has_journal: bool = False
) -> Path:
    """Write and return the station file of a receiver that connects to *port*."""
    receiver = {"class": "RawReceiver", "host": "127.0.0.1", "port": port, "channels": load.codes}
    codes = {"network": NETWORK, "code": station, "location": LOCATION}
    file = folder / f"{station}.yaml"
    # JSON is YAML, apart from keys that are numbers.
    journal = {"Journal": {"path": "journal"}} if has_journal else {}
    text = json.dumps({"station": codes, COMPONENT: {"Receiver": receiver, "Publishers": publishers, **journal}})
    for number in load.codes:
        text = text.replace(f'"{number}": "', f'{number}: "')
    file.write_text(text)
    return file
