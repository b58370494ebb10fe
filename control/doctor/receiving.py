"""The side from which data come: device, handshake, channels, streams, clock."""

from collections.abc import Iterator
from typing import Final

from rawdaq.control.doctor.case import Case
from rawdaq.control.doctor.finding import Check, Finding, good, unknown, wrong
from rawdaq.control.doctor.probe import Probe
from rawdaq.control.health.parts import count, entries, items, number, part
from rawdaq.control.health.problem import Row
from rawdaq.control.health.streams import listed
from rawdaq.times import from_calendar

#: Receivers that publish no waveforms, or none at all.
_OF_MESSAGES: Final = frozenset(
    {
        "LogReceiver",
        "MonitorReceiver",
        "ReadoutAssembler",
        "Simulator",
        "TelemetryReceiver",
        "TimestampReceiver",
        "TriggerReceiver",
    }
)
_WRITTEN_NS = from_calendar(2024, 1, 0, 0, 0)  # no machine that runs this has an earlier time


def receiving(case: Case) -> Iterator[Finding]:
    """Yield what is found beside the problems that the rule of health knows."""
    receiver = part(case.row, "receiver")
    if case.device is not None:
        yield from _of_probe(case.device, _asked(case))
    elif case.is_answering and receiver:
        yield from _of_endpoints(receiver)
        if is_cut_off(case):
            return  # what the device once said, and streams that are not silent for long enough yet, prove nothing
        yield from _of_handshake(receiver)
        yield from _of_channels(receiver, case)
        yield from _of_streams(entries(case.row.get("streams")), case)


def is_cut_off(case: Case) -> bool:
    """Whether a receiver that connects to others has no connection now."""
    states = [each.get("connected") for each in items(part(case.row, "receiver").get("endpoints"))]
    return bool(states) and all(state is False for state in states)


def _asked(case: Case) -> list[int]:
    channels = case.settings.receiver.options.get("channels") if case.settings else None
    return sorted(channels) if isinstance(channels, dict) else []  # pyright: ignore[reportUnknownArgumentType] - options have no types


def _of_probe(device: Probe, asked: list[int]) -> Iterator[Finding]:
    """Yield what the device of a component that does not run has said."""
    if device.unreachable is not None:
        yield wrong(Check.DEVICE, f"{device.address} cannot be reached: {device.unreachable}")
        return
    yield good(Check.DEVICE, f"{device.address} can be reached")
    if device.version is not None:
        yield good(Check.HANDSHAKE, f"it speaks RAW {device.version}")
    missing = [channel for channel in asked if channel not in device.described]
    if device.failure is None:
        if device.version is not None:
            yield good(Check.CHANNELS, f"it knows all {len(device.described)} channels")
    elif device.version is None:
        remedy = "is this the port of the device, and does it speak RAW? `version` in the station file says which"
        yield wrong(Check.HANDSHAKE, f"{device.address}: {device.failure}", remedy)
    else:
        remedy = "compare `channels` in the station file with the device; its ids are those of RAW"
        yield wrong(Check.CHANNELS, f"channel {missing[0]}: {device.failure}", remedy)


def _of_endpoints(receiver: Row) -> Iterator[Finding]:
    for endpoint in items(receiver.get("endpoints")):
        address = endpoint.get("address")
        if endpoint.get("connected") is True:
            yield good(Check.DEVICE, f"{address} is connected")
        if number(drops := endpoint.get("kernel_drops")):
            remedy = "raise net.core.rmem_max, or let fewer components share the process"
            yield wrong(
                Check.DEVICE, f"{address}: the system has dropped {drops} datagrams, its buffer was full", remedy
            )
        if endpoint.get("datagrams") == 0:
            remedy = "does the device send to this address and port, and does a firewall let it through?"
            yield wrong(Check.DEVICE, f"no datagram has come to {address}", remedy)


def _of_handshake(receiver: Row) -> Iterator[Finding]:
    for endpoint in items(receiver.get("endpoints")):
        if server := endpoint.get("server"):
            yield good(Check.HANDSHAKE, f"{endpoint.get('address')} is {server}")
    if version := receiver.get("version"):
        yield good(Check.HANDSHAKE, f"it speaks RAW {version}")
    elif "version" in receiver and any(endpoint.get("connected") for endpoint in items(receiver.get("endpoints"))):
        remedy = "is this the port of the device, and does it speak RAW? `version` in the station file says which"
        yield wrong(Check.HANDSHAKE, "the device has not said yet which version of RAW it speaks", remedy)
    if refused := count(receiver, "refused"):
        reasons = ", ".join(entries_text(receiver.get("refused_by_reason")))
        remedy = "see `refused_by_sender` in `control-rawdaq status --json`: who sends it?"
        yield wrong(Check.HANDSHAKE, f"{refused:g} datagrams or messages were refused: {reasons}", remedy)


def entries_text(counts: object) -> list[str]:
    """Return counts by name as words.

    >>> entries_text({"too short": 5})
    ['5 too short']
    """
    return [f"{n} {name}" for name, n in counts.items()] if isinstance(counts, dict) else []  # pyright: ignore[reportUnknownVariableType]


def _of_channels(receiver: Row, case: Case) -> Iterator[Finding]:
    described, asked = receiver.get("channels"), _asked(case)
    if not isinstance(described, dict) or not asked or not receiver.get("version"):
        return
    missing = [channel for channel in asked if str(channel) not in described]
    if missing:
        names = ", ".join(map(str, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        remedy = "compare `channels` in the station file with the device; its ids are those of RAW"
        yield wrong(Check.CHANNELS, f"the device has not described channel {names}", remedy)
    else:
        yield good(Check.CHANNELS, f"the device has described all {len(asked)} channels")
    for channel, kinds in entries(receiver.get("packet_problems")).items():
        for text in entries_text(kinds):
            yield wrong(Check.CHANNELS, f"channel {channel}: {text} packets", "see the log for the first of each")


def _of_streams(streams: dict[str, Row], case: Case) -> Iterator[Finding]:
    """Yield which streams have never come; those that have fallen silent the rule of health knows."""
    never = [name for name, shown in streams.items() if not count(shown, "packets") and shown.get("silent_s") is None]
    if not streams:
        yield (
            wrong(
                Check.DATA,
                f"no stream has come since it started {count(case.row, 'uptime_s'):.0f} s ago",
                "does the source have what the receiver asks for? See its options in the station file",
            )
            if _should_have(case)
            else unknown(Check.DATA, "it publishes no streams")
        )
    elif never:
        yield wrong(Check.DATA, f"{listed(never)} have not come yet", "is the channel recording?")
    for name, shown in streams.items():
        if (mismatches := count(shown, "rate_mismatches")) and count(shown, "gaps_last_hour"):
            remedy = "set the sampling rate that the device really has"
            yield wrong(Check.DATA, f"{name} has another rate than it says ({mismatches:g} times)", remedy)


def _should_have(case: Case) -> bool:
    """Whether a component should have streams: not one that relays messages, or whose source only others write to."""
    receiver = part(case.row, "receiver")
    relays = receiver.get("messages") or "ring" in receiver
    return not relays and case.row.get("class") not in _OF_MESSAGES


def clock_of_machine(now_ns: int) -> Iterator[Finding]:
    """Yield whether this machine has a time."""
    if now_ns < _WRITTEN_NS:
        yield wrong(
            Check.CLOCK, "the clock of this machine is not set", "let it be set by the network (chrony, timesyncd)"
        )
