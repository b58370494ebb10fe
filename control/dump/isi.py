"""An ISI server in ``rawdaq-dump``: its streams as packets, and its reports as tables."""

import json
from collections.abc import Iterable, Sequence

from rawdaq.control.dump.run import reporting_logger
from rawdaq.control.dump.servers import Server, time_text
from rawdaq.errors import RawdaqError
from rawdaq.protocols.isi import Entry, Report, StreamConfiguration, StreamHealth
from rawdaq.subscriber.isi import IsiAddress, IsiReader, ask

#: What the original programs call the reports.
_REPORTS = {"soh": Report.HEALTH, "cnf": Report.CONFIGURATION, "wfdisc": Report.WFDISC}


def _reader(address: str, streams: Sequence[str]) -> IsiReader:
    return IsiReader(IsiAddress.parse(address), streams, logger=reporting_logger())


def _info(address: str, item: str, as_json: bool) -> Sequence[str]:
    where = IsiAddress.parse(address)
    answer = ask(where, _REPORTS[item])
    entries = [each for each in answer if _is_wanted(where, each)]
    if answer and not entries:
        raise RawdaqError(f"{where} has no stream {' or '.join(map(str, where.names))}")
    if as_json:
        return [json.dumps(_object(each)) for each in entries]
    return [_printable(each if isinstance(each, str) else _line(each)) for each in entries]


def _printable(text: str) -> str:
    """Return what a server sent as a terminal may get it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _is_wanted(address: IsiAddress, entry: Entry) -> bool:
    """Return whether an entry is of a stream in the address; lines of the table ``wfdisc`` are shown all."""
    return isinstance(entry, str) or any(name.matches(entry.name) for name in address.names)


def _line(entry: StreamHealth | StreamConfiguration) -> str:
    """Return an entry as the original client prints it, as far as our times and units allow that."""
    name = f"{entry.name.station:<7} {entry.name.channel:<3} {entry.name.location or '--':<2}"
    if isinstance(entry, StreamHealth):
        span = f"{time_text(entry.oldest.time_ns)} - {time_text(entry.newest.time_ns)}"
        age = f"last write {entry.age_s:.1f} s ago" if entry.records else "nothing came"
        return f"{name}  {entry.segments} segments  {entry.records} records  {span}  {age}"
    rate = "?" if entry.rate_hz is None else f"{entry.rate_hz:g}"
    return f"{name}  {rate} Hz  {_place(entry)}  {entry.instrument}"


def _place(entry: StreamConfiguration) -> str:
    if entry.coordinates is None:
        return "-"
    latitude, longitude, elevation_m, depth_m = entry.coordinates
    return f"{latitude:.4f} {longitude:.4f}  {elevation_m:g} m  depth {depth_m:g} m"


def _object(entry: Entry) -> dict[str, object]:
    """Return an entry as JSON has it."""
    match entry:
        case StreamHealth(name=name):
            return {
                "stream": str(name),
                "oldest_ns": entry.oldest.time_ns,
                "newest_ns": entry.newest.time_ns,
                "age_s": entry.age_s if entry.records else None,
                "segments": entry.segments,
                "records": entry.records,
            }
        case StreamConfiguration(name=name):
            place = None if entry.coordinates is None else _rounded(entry.coordinates._asdict().items())
            return {"stream": str(name), "rate_hz": entry.rate_hz, "coordinates": place, "instrument": entry.instrument}
        case line:
            return {"wfdisc": line}


def _rounded(items: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return numbers of 32 bits with the digits that these have."""
    return {name: float(f"{value:.7g}") for name, value in items}


SERVER = Server(_reader, _info, [*_REPORTS])
