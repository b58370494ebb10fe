"""The side to which data go: publishers, the servers that they dial, and those who read."""

from collections.abc import Iterator

from rawdaq.control.doctor.case import Case
from rawdaq.control.doctor.finding import Check, Finding, good, wrong
from rawdaq.control.health.parts import count, entries, items, part, readers
from rawdaq.control.health.problem import Row

_LOOPBACK = ("127.", "localhost", "[::1]", "tcp://127.", "tcp://localhost", "tcp://[::1]")


def delivering(case: Case) -> Iterator[Finding]:
    """Yield what is found beside the problems that the rule of health knows."""
    if not case.is_answering:
        return
    packets = sum(count(shown, "packets") for shown in entries(case.row.get("streams")).values())
    publishers = entries(case.row.get("publishers"))
    if not publishers and packets:
        remedy = "add `Publishers` to the component in the station file"
        yield wrong(Check.PUBLISHERS, "it has no publisher: what is received goes nowhere", remedy)
    for name, shown in publishers.items():
        yield from _of_publisher(name, shown, packets)
        yield from _of_peer(name, shown)
        yield from _of_readers(name, shown)
    receiver = part(case.row, "receiver")
    if "client_count" in receiver:
        yield from _of_readers("the ring", receiver)


def _of_publisher(name: str, shown: Row, packets: float) -> Iterator[Finding]:
    if refused := count(shown, "refused"):
        remedy = "see the log: streams whose names, types or rates it cannot carry"
        yield wrong(Check.PUBLISHERS, f"{name} has refused {refused:g} packets that it cannot carry", remedy)
    if dropped := count(shown, "dropped"):
        remedy = "what it delivers to was too slow or away; a journal keeps what has to wait"
        if not shown.get("dropping"):  # that it drops now is reported already
            yield wrong(Check.PUBLISHERS, f"{name} has dropped {dropped:g} packets since it started", remedy)
    idle = packets and not count(shown, "delivered") and not count(shown, "waiting")
    if idle and shown.get("state") == "running":
        remedy = "do its `streams` in the station file select any? A record that is not full yet waits, too"
        yield wrong(Check.PUBLISHERS, f"{name} has delivered nothing of {packets:g} packets", remedy)


def _of_peer(name: str, shown: Row) -> Iterator[Finding]:
    """Yield whether a publisher that dials is connected."""
    if "connected" not in shown:
        return
    where = shown.get("url") or shown.get("address")
    if shown["connected"]:
        yield good(
            Check.PEERS, f"{name} is connected to {where}" + (f", {shown['server']}" if shown.get("server") else "")
        )
    elif reason := shown.get("last_failure"):
        yield wrong(Check.PEERS, f"{name} is not connected to {where}: {reason}")
    elif "peers" not in shown:
        yield wrong(
            Check.PEERS, f"{name} is not connected to {where} yet", "is that server on, and are host and port right?"
        )


def _of_readers(name: str, shown: Row) -> Iterator[Finding]:
    subscribers = items(shown.get("subscribers")) or items(shown.get("peers")) or items(shown.get("clients"))
    reading = readers(shown)
    if reading is None:
        return
    for each in subscribers:
        lost = count(each, "dropped") + count(each, "missed")
        if lost:
            remedy = "it reads too slowly, or its link is too slow"
            yield wrong(Check.SUBSCRIBERS, f"{name}: {each.get('address')} has lost {lost:g} packets", remedy)
    for reason, times in part(shown, "turned_away").items():
        yield wrong(
            Check.SUBSCRIBERS, f"{name} has turned away {times} connections: {reason}", "see the log for who it was"
        )
    address = str(shown.get("address") or next(iter(part(shown, "addresses").values()), ""))
    hint = f"; only this machine can reach {address}" if address.startswith(_LOOPBACK) and not reading else ""
    what = f"{reading} reader{'s' * (reading != 1)}" if reading else "nobody reads it now"
    yield good(Check.SUBSCRIBERS, f"{name}: {what}{hint}")
