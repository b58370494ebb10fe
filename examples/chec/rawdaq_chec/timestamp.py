"""Bunches of timestamps of the timing board, as a format of rawdaq's `TimestampReceiver`."""

from collections.abc import Sequence

from rawdaq.protocols.events import Event, EventFormat, MalformedMessage
from rawdaq.protocols.events.counters import Counter
from rawdaq.times import MAX_YEAR, NS_PER_S, from_calendar
from rawdaq_chec.protobuf import data, fields, number

_LAST_S = from_calendar(MAX_YEAR, 365, 0, 0, 0) // NS_PER_S
_PS_PER_S = 10**12

TYPES = {1: "readout", 2: "busy", 3: "soft", 4: "external", 5: "flatfield", 6: "single_pe", 7: "pedestal", 8: "muon"}
#: What White Rabbit says of its synchronisation, and how good the time is then.
STATUS = {
    1: ("uninitialized", 0),
    2: ("sync_ns", 40),
    3: ("sync_s", 20),
    4: ("sync_phase", 80),
    5: ("track_phase", 100),
    6: ("wait_for_offset", 10),
}
_TRIGGER_NUMBERS = {1: "telescope", 2: "event_counter", 3: "pps_counter", 4: "clock_counter", 6: "type", 7: "status"}
_STAMP_NUMBERS = {3: "index", 4: "tai_hi", 5: "tai_lo", 6: "cyc", 7: "tdc_hi", 8: "tdc_lo"}


class ChecTimestamp(EventFormat):
    """Each trigger of a bunch as an event, by its type; its time to the picosecond, its quality by White Rabbit."""

    def __init__(self) -> None:
        self._bunches = 0
        self._counter = Counter(64)

    def events(self, message: bytes) -> Sequence[Event]:
        """Return the triggers of a bunch.

        Raises:
            RemoteProtocolError: it is malformed; nothing of it is taken then.
        """
        telescope = bunch = 0
        arrival: dict[str, int] | None = None
        triggers: list[bytes] = []
        for field, value in fields(message):
            if field == 1:
                telescope = number(value, "telescope")
            elif field == 2:
                bunch = number(value, "bunch_counter")
            elif field == 3:
                triggers.append(data(value, "trigger"))
            elif field == 4:
                arrival = _stamp(data(value, "arrival_time"))
        about: dict[str, object] = {"bunch": bunch, "arrival": None if arrival is None else _shown(arrival)}
        found = [_event(each, telescope, about) for each in triggers]
        self._bunches += 1
        self._counter.step(bunch)
        return found

    def status(self) -> dict[str, object]:
        """Return how many bunches came, and what is missing of them."""
        return {
            "bunches": self._bunches,
            "bunches_missed": self._counter.missed,
            "bunches_backwards": self._counter.backwards,
        }


def _event(message: bytes, telescope: int, about: dict[str, object]) -> Event:
    values = {"telescope": telescope, "event_counter": 0, "pps_counter": 0, "clock_counter": 0, "type": 1, "status": 5}
    stamp: dict[str, int] | None = None
    pattern = 0
    for field, value in fields(message):
        if name := _TRIGGER_NUMBERS.get(field):
            values[name] = number(value, name)
        elif field == 5:
            stamp = _stamp(data(value, "time"))
        elif field == 8:
            pattern = int.from_bytes(data(value, "pattern", 8), "little")
    kind = TYPES.get(values["type"], f"type_{values['type']}")
    status, quality = STATUS.get(values["status"], (f"status_{values['status']}", 0))
    shown: dict[str, object] = {
        "telescope": values["telescope"],
        "pps": values["pps_counter"],
        "clock": values["clock_counter"],
        "status": status,
        "pattern": pattern,
        **about,
    }
    time_ns, ps = (None, 0) if stamp is None else (stamp["time_ns"], stamp["ps"])
    if stamp is not None and len(stamp) > 2:
        shown["stamp"] = {name: stamp[name] for name in _STAMP_NUMBERS.values() if name in stamp}
    source = str(values["telescope"])
    return Event(kind, shown, time_ns, ps, None, values["event_counter"], quality, source, message)


def _stamp(message: bytes) -> dict[str, int]:
    """Return a time in ``time_ns`` and ``ps``, and the board's own numbers where it sends them."""
    seconds = picoseconds = 0
    found: dict[str, int] = {}
    for field, value in fields(message):
        if field == 1:
            seconds = number(value, "seconds")
        elif field == 2:
            picoseconds = number(value, "pico_seconds")
        elif name := _STAMP_NUMBERS.get(field):
            found[name] = number(value, name)
    if seconds > _LAST_S or picoseconds >= _PS_PER_S:
        raise MalformedMessage(f"time of {seconds} s and {picoseconds} ps cannot be")
    return {"time_ns": seconds * NS_PER_S + picoseconds // 1000, "ps": picoseconds % 1000, **found}


def _shown(stamp: dict[str, int]) -> dict[str, int]:
    return {"time_ns": stamp["time_ns"], "ps": stamp["ps"]}
