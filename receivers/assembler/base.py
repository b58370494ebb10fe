"""What assemblers of readouts have in common: their assembly has its turns, readouts leave, commands are answered."""

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rawdaq.errors import CommandError
from rawdaq.messages.message import Message
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.receivers.assembler.changes import ChangeLog
from rawdaq.receivers.assembler.tables import assembly_status
from rawdaq.sockets.endpoint import Endpoint
from rawdaq.streams.assembly.assembly import Assembly
from rawdaq.streams.assembly.groups import Group
from rawdaq.streams.assembly.values import Readout, Rules
from rawdaq.times import NS_PER_S

_AGAIN_S = 0.001  # after which a full socket is looked at again
_LONGEST_READ_NS = NS_PER_S  # for which timers wait at least, while a socket is full
_USAGE_COUNT = "usage: reset_count [N], the number of the next readout, by default 1"
_TRUTH = {"true": True, "false": False}


def rules_of(options: Mapping[str, Any], **others: Any) -> Rules:
    """Return the rules of the options that all assemblers have, and the *others*."""
    times = {f"{name}_ns": round(options[f"{name}_s"] * NS_PER_S) for name in ("max_wait", "absent", "step")}
    return Rules(
        span_ns=None if options["span_s"] is None else round(options["span_s"] * NS_PER_S),
        max_open=options["max_open"],
        max_open_bytes=int(options["max_open_mb"] * 1e6),
        ordered=options["ordered"],
        keeps_last=options["duplicates"] == "last",
        reset_parts=options["reset_parts"],
        **times,
        **others,
    )


class AssemblyReceiver(ReceiverServer):
    """A receiver with an assembly.

    Args:
        ip: the address to listen on.
        port: the port.
        publishers: where the readouts go.
        name: the component's name.
        rules: how parts become readouts.
        make_group: makes a group of parts.

    Attributes:
        assembly: gets the parts.
        is_publishing: False after the command ``pause``.
        suppressed: readouts that were not published for it.
        is_more_waiting: whether the last read left something in the socket, as far as it shows.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        publishers: Sequence[Publisher],
        name: str,
        rules: Rules,
        make_group: Callable[[int, int, int], Group] = Group,
    ) -> None:
        super().__init__(ip, port, publishers, name)
        self.assembly = Assembly(rules, make_group)
        self.is_publishing = True
        self.suppressed = 0
        self.is_more_waiting = False
        self._changes = ChangeLog(self.log, self.slot_name)
        self._earlier = asyncio.Event()
        self._sleeps_until_ns: int | None = None

    @abstractmethod
    def slot_name(self, slot: int) -> str:
        """Return a slot in words, for log lines."""

    @abstractmethod
    def message(self, readout: Readout) -> Message:
        """Return a readout as a message."""

    def publish_more(self, readouts: Sequence[Readout], endpoint: Endpoint) -> None:
        """Publish what else *readouts* give; by default nothing."""

    def flush_more(self) -> None:
        """Publish what of it waits; by default nothing."""

    def hand_out(self, readouts: Sequence[Readout], endpoint: Endpoint) -> None:
        """Publish *readouts*, log what changed, and see to it that the assembly has its turn in time."""
        if changes := self.assembly.changes():
            self._changes.write(changes)
        if readouts:
            self._publish_readouts(readouts, endpoint)
        due_ns, until_ns = self.assembly.due_ns, self._sleeps_until_ns
        if due_ns is not None and (until_ns is None or due_ns < until_ns):
            self._earlier.set()

    def _publish_readouts(self, readouts: Sequence[Readout], endpoint: Endpoint) -> None:
        if not self.is_publishing:
            self.suppressed += len(readouts)
            return
        self.publish_now([self.message(each) for each in readouts], endpoint)
        self.publish_more(readouts, endpoint)

    async def ct_due(self) -> None:
        """Finish readouts whose time is over; at the end all of them."""
        try:
            while True:
                self._sleeps_until_ns = self.assembly.due_ns
                await self._sleep(self._sleeps_until_ns)
                await self._read_what_waits()
                self.hand_out(self.assembly.due(time.monotonic_ns()), self.endpoints[0])
        finally:
            self.hand_out(self.assembly.flush(), self.endpoints[0])
            self.flush_more()

    async def _sleep(self, until_ns: int | None) -> None:
        """Return at a time, or before when something earlier is due."""
        self._earlier.clear()
        wait_s = None if until_ns is None else max(0.0, (until_ns - time.monotonic_ns()) / NS_PER_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._earlier.wait()

    async def _read_what_waits(self) -> None:
        """Let the socket be read before time counts: the computer may have stood still while packets came."""
        end_ns = time.monotonic_ns() + max(_LONGEST_READ_NS, self.assembly.rules.max_wait_ns)
        while self.is_more_waiting and time.monotonic_ns() < end_ns:
            self.is_more_waiting = False
            await asyncio.sleep(_AGAIN_S)

    # ------------------------------------------------------------------ commands

    def cmd_pause(self) -> str:
        """Publish no readouts until `resume`; they are assembled, counted as suppressed, and take numbers."""
        self.is_publishing = False
        self.flush_more()
        self.log.warning("paused by command: readouts are not published")
        return "paused"

    def cmd_resume(self) -> str:
        """Publish readouts again."""
        self.is_publishing = True
        self.log.warning("resumed by command")
        return "running"

    def cmd_reset_count(self, args: list[str]) -> dict[str, int]:
        """Set the number of the next readout, 1 or another: reset_count [N]."""
        if len(args) > 1 or (args and not (args[0].isascii() and args[0].isdigit())):
            raise CommandError(_USAGE_COUNT)
        before, self.assembly.next_number = self.assembly.next_number, int(args[0]) if args else 1
        return {"before": before, "next": self.assembly.next_number}

    def cmd_reset_ro_count(self, args: list[str]) -> dict[str, int]:
        """Do as reset_count; ssdaq's word for it."""
        return self.cmd_reset_count(args)

    def cmd_set_publish_readouts(self, args: list[str]) -> str:
        """Do as resume or pause; ssdaq's word for it: set_publish_readouts true|false."""
        is_on = _TRUTH.get(args[0].lower()) if len(args) == 1 else None
        if is_on is None:
            raise CommandError("usage: set_publish_readouts true|false")
        return self.cmd_resume() if is_on else self.cmd_pause()

    def cmd_status(self) -> dict[str, object]:
        """Show state, endpoints, publishers, streams, messages, and the counters of the assembly."""
        shown = super().cmd_status()
        return shown if self.is_publishing or shown["state"] != "running" else shown | {"state": "paused"}

    def receiver_status(self) -> dict[str, object]:
        """Return the sockets and the counters of the assembly."""
        return super().receiver_status() | assembly_status(self.assembly, self.suppressed)
