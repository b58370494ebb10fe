"""Simulator: a component that plays devices, for tests of receivers and for training."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rawdaq.config.options import validate
from rawdaq.config.settings import StationSettings
from rawdaq.errors import CommandError, InvalidValue, RawdaqError
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.simulator.faults import Fault
from rawdaq.receivers.simulator.makers import maker_of
from rawdaq.receivers.simulator.outputs import TcpOutput, UdpOutput
from rawdaq.receivers.simulator.plan import SourceSettings
from rawdaq.receivers.simulator.simulation import Outgoing, Simulation
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

_MAX_BEHIND_NS = NS_PER_S  # a computer that stood still for longer goes on from now, as a device does not
_TRUTHS = {"true": True, "false": False}


class Simulator(ReceiverServer):
    """Plays devices that send readouts, events, times or logs, each from an address of its own where asked for.

    It receives and publishes nothing. What it sends, and what goes wrong with it, is decided by the plan and the seed
    alone. When it ends it says for each sender what was really sent: the truth that a test compares with.

    Args:
        publishers: none; a simulator has no samples of its own.
        station: of the component.
        name: the component's name.
        sources: what is sent, by names of one's choice.
        faults: what goes wrong when.
        seed: another one gives other values and faults.
        seconds: how long it plays; without it, until it is stopped.
        truth: the file that gets what was really sent, a JSON object a line and sender.
    """

    def __init__(
        self,
        publishers: list[Publisher],
        station: StationSettings,
        name: str,
        sources: dict[str, SourceSettings],
        faults: list[Fault] | None = None,
        seed: int = 0,
        seconds: Annotated[float, Field(gt=0, le=1e9)] | None = None,
        truth: Path | None = None,
    ) -> None:
        super().__init__("", 0, publishers, name)
        end_ns = None if seconds is None else round(seconds * NS_PER_S)
        self.simulation = Simulation(sources, faults or (), seed, end_ns)
        self._truth = truth
        self._outputs: dict[str, UdpOutput | TcpOutput] = {}
        self._began_ns = 0
        self._is_sending = asyncio.Event()
        self._is_sending.set()
        self._changed = asyncio.Event()
        self._setup = True

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return nothing, since it publishes nothing.

        Raises:
            InvalidValue: sources and faults do not fit; the text says which.
        """
        sources: Mapping[str, SourceSettings] = options["sources"]
        if not sources:
            raise InvalidValue("sources: at least one is needed, such as parts: {kind: readouts, to: 127.0.0.1:17000}")
        for fault in options["faults"] or ():
            _check_source(fault, sources)
        for name, settings in sources.items():
            try:
                maker_of(settings, name)
            except RawdaqError as error:
                raise InvalidValue(f"sources: {name}: {error}") from error
        return []

    @property
    def elapsed_ns(self) -> int:
        """How long it has played."""
        return time.monotonic_ns() - self._began_ns

    async def ct_play(self) -> None:
        """Send what is due, until all is sent or the component stops."""
        try:
            for name, source in self.simulation.sources.items():
                settings = source.settings
                if settings.is_tcp:
                    self._outputs[name] = TcpOutput(settings, self.log)
                else:  # in a thread, because the receiver's name is looked up
                    self._outputs[name] = await asyncio.to_thread(UdpOutput, settings)
            for output in self._outputs.values():
                await output.ready()
            self.simulation.begin(time.time_ns())
            self._began_ns = time.monotonic_ns()
            await self._play()
        finally:
            for message in self.simulation.rest(self.elapsed_ns):
                self._send(message)
            for output in self._outputs.values():
                await output.aclose()
            self._tell_truth()
        self.stop()

    async def _play(self) -> None:
        while (next_ns := self.simulation.next_ns) is not None:
            if not self._is_sending.is_set():
                await self._is_sending.wait()
                self._skip_to(self.elapsed_ns)
                continue
            left_ns = next_ns - self.elapsed_ns
            if left_ns < -_MAX_BEHIND_NS:
                self.log.warning("%.1f s behind: this computer is too slow for the plan", -left_ns / NS_PER_S)
                self._skip_to(self.elapsed_ns)
            self._changed.clear()
            with contextlib.suppress(TimeoutError):  # also when nothing is left to wait for, so that others have a turn
                async with asyncio.timeout(max(0.0, left_ns / NS_PER_S)):
                    await self._changed.wait()
            for message in self.simulation.take(self.elapsed_ns):
                self._send(message)

    def _skip_to(self, elapsed_ns: int) -> None:
        for source in self.simulation.sources.values():
            source.skip_to(elapsed_ns)

    def _send(self, message: Outgoing) -> None:
        output = self._outputs.get(message.source)
        if output is None or not output.send(message.slot, message.data):
            self.simulation.sources[message.source].ways[message.slot].counts.unsent += 1

    def _tell_truth(self) -> None:
        rows = self.simulation.truth()
        lost, made = (sum(int(str(row[key])) for row in rows) for key in ("lost", "made"))
        self.log.info("%d messages of %d senders were made, %d of them lost on purpose", made, len(rows), lost)
        if self._truth is not None:
            self._truth.write_text("".join(json.dumps(row) + "\n" for row in rows))

    # ------------------------------------------------------------------ commands

    def cmd_pause(self) -> str:
        """Send nothing until `resume`; numbers go on from there."""
        self._is_sending.clear()
        self._changed.set()
        self.log.warning("paused by command")
        return "paused"

    def cmd_resume(self) -> str:
        """Send again."""
        self._is_sending.set()
        self.log.warning("resumed by command")
        return "running"

    def cmd_rate(self, args: list[str]) -> dict[str, float]:
        """Show the rates, or set that of all sources or of one: rate [HZ [SOURCE]]."""
        chosen = self.simulation.sources
        if len(args) > 1:
            if args[1] not in chosen:
                raise CommandError(f"no source is called {args[1]!r}; there are {', '.join(chosen)}")
            chosen = {args[1]: chosen[args[1]]}
        if args:
            rate_hz = _positive(args[0])
            for source in chosen.values():
                source.set_rate(rate_hz)
            self._changed.set()
        return {name: source.rate_hz for name, source in self.simulation.sources.items()}

    def cmd_fault(self, args: list[str]) -> str:
        """Let something go wrong from now on: fault loss=0.1 [slot=3] [source=parts] [for_s=10]; as in the plan."""
        values: dict[str, Any] = {"at_s": self.elapsed_ns / NS_PER_S}
        for word in args:
            key, equals, text = word.partition("=")
            if not equals:
                raise CommandError(f"{word!r} is not KEY=VALUE such as loss=0.1")
            with contextlib.suppress(ValueError):
                values[key] = json.loads(text)
                continue
            values[key] = text
        fault, mistakes = validate(Fault, values)
        if fault is None:
            raise CommandError("; ".join(f"{'.'.join(map(str, each.where))}: {each.text}" for each in mistakes))
        try:
            _check_source(fault, self.simulation.sources)
        except InvalidValue as error:
            raise CommandError(str(error)) from error
        self.simulation.faults.append(fault)
        self.log.warning("fault by command: %s", " ".join(args))
        return "on"

    def cmd_clear_faults(self) -> int:
        """End all faults; clocks stay as they are. Returns how many there were."""
        count = len(self.simulation.faults)
        self.simulation.faults.clear()
        return count

    def cmd_sent(self) -> list[dict[str, object]]:
        """Show for each sender what was really sent, and what was made to go wrong."""
        return self.simulation.truth()

    def cmd_send_ss_data(self, args: list[str]) -> str:
        """Do as resume or pause; ssdaq's word for it: send_ss_data true|false."""
        is_on = _TRUTHS.get(args[0].lower()) if len(args) == 1 else None
        if is_on is None:
            raise CommandError("usage: send_ss_data true|false")
        return self.cmd_resume() if is_on else self.cmd_pause()

    def cmd_is_sending_ss_data(self) -> bool:
        """Say whether it sends; ssdaq's word."""
        return self._is_sending.is_set()

    def cmd_change_rate(self, args: list[str]) -> dict[str, float]:
        """Do as rate; ssdaq's word for it: change_rate HZ."""
        if len(args) != 1:
            raise CommandError("usage: change_rate HZ")
        return self.cmd_rate(args)

    def cmd_get_rate(self) -> dict[str, float]:
        """Show the rates; ssdaq's word for it."""
        return self.cmd_rate([])

    def cmd_get_npackets_sent(self) -> int:
        """Show how many messages were made and not lost; ssdaq's word."""
        rows = self.simulation.truth()
        return sum(int(str(row["made"])) - int(str(row["lost"])) for row in rows)

    def cmd_available_cmds(self) -> list[str]:
        """List the commands; ssdaq's word for help."""
        return list(self.cmd_help())

    def receiver_status(self) -> dict[str, object]:
        """Return what each source sends."""
        sources = {
            name: {"kind": source.settings.kind, "to": source.settings.to, "rate_hz": source.rate_hz, "made": made}
            for name, source in self.simulation.sources.items()
            for made in [sum(way.counts.made for way in source.ways)]
        }
        return super().receiver_status() | {"sources": sources, "faults": len(self.simulation.faults)}

    def cmd_status(self) -> dict[str, object]:
        """Show state, sources and faults."""
        shown = super().cmd_status()
        return shown if self._is_sending.is_set() or shown["state"] != "running" else shown | {"state": "paused"}


def _check_source(fault: Fault, sources: Any) -> None:
    if fault.source is not None and fault.source not in sources:
        raise InvalidValue(f"a fault is of the source {fault.source!r}; there are {', '.join(sources)}")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise CommandError(f"{text!r} is not a rate in Hz above 0, up to 1e6")
    return value
