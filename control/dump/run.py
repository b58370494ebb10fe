"""One run of ``rawdaq-dump``: packets go from a reader to views until a limit; losses and totals go to stderr."""

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Generic, NamedTuple, TypeVar

import click

from rawdaq.control.dump.messages.command import KINDS
from rawdaq.messages.message import Kind
from rawdaq.packet import Packet
from rawdaq.stream_id import StreamId, selects_nothing
from rawdaq.subscriber import Loss, MessageSubscriber, PacketReader, Subscriber
from rawdaq.subscriber.journal import JournalReader
from rawdaq.times import NS_PER_S, to_iso

_TICK_S = 0.2  # how late a signal, the end of --seconds or a refresh may be
_PATIENCE_S = 2.0  # a publisher that runs has answered by then, and sent data
_OUTAGE_S = 0.5  # losses of several streams that come so close together are one outage
_OUTAGE_MAX_S = 5.0  # an outage that goes on is reported this often
_NAMED = 5  # streams named in one line

#: The options that show messages.
OPTIONS = {Kind(kind): f"--{option}" for option, (kind, _) in KINDS.items()}

Came = TypeVar("Came")


class Arrival(NamedTuple):
    """A packet and the facts of its arrival.

    Attributes:
        packet: the packet.
        now_ns: this machine's clock when it arrived; None when it was read from a file.
        gap_ns: time missing since the packet before it in its stream (negative: overlap), None for the first.
        lost: messages of its stream that are missing before it.
    """

    packet: Packet
    now_ns: int | None
    gap_ns: int | None
    lost: int

    @property
    def latency_ns(self) -> int | None:
        """Age of the last sample; None when it was read from a file."""
        return None if self.now_ns is None else self.now_ns - self.packet.end_ns


class Shows(Generic[Came]):
    """Shows or keeps what comes."""

    def show(self, came: Came, /) -> None:
        """Show or keep one."""
        raise NotImplementedError

    def tick(self, now_s: float) -> None:
        """Do what is due; called several times a second with a monotonic clock."""

    def close(self) -> None:
        """Finish: no more arrive."""


View = Shows[Arrival]


def report(text: str) -> None:
    """Print *text* to stderr, away from the data."""
    click.echo(f"rawdaq-dump: {text}", err=True)


class _ReportHandler(logging.Handler):
    """Reports log lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Report the line."""
        report(record.getMessage())


def reporting_logger() -> logging.Logger:
    """Return the logger of what readers have to say, which is reported."""
    logger = logging.getLogger("rawdaq.dump")
    logger.handlers = [_ReportHandler()]
    return logger


class DumpRun:
    """Reads packets until a limit is reached or *stop* is set.

    Args:
        views: where packets go.
        stop: ends the run when it is set.
        count: end after so many packets.
        seconds: end after so long.
        clock: this machine's clock, in nanoseconds.
        monotonic: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        views: Sequence[View],
        stop: threading.Event,
        count: int | None = None,
        seconds: float | None = None,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._views, self._stop = views, stop
        self._count, self._seconds = count, seconds
        self._clock, self._monotonic = clock, monotonic
        self._began_s = monotonic()
        self._next_ns: dict[StreamId, int] = {}
        self._missing = 0
        self._losses = Losses()
        self.packets = 0

    def note_loss(self, loss: Loss) -> None:
        """Count messages that did not arrive; for `Subscriber`."""
        self._missing = loss.missing
        before_ns = loss.next_packet.start_ns
        self._losses.add(str(loss.stream), loss.missing, before_ns, loss.address, self._monotonic())

    def run(self, reader: PacketReader) -> None:
        """Show what *reader* receives, then report the totals."""
        self._began_s = self._monotonic()
        is_patient = True
        with ExitStack() as finish:
            for view in self._views:
                finish.callback(view.close)
            while (left_s := self._left_s()) > 0 and not reader.has_ended:
                packet = reader.receive(min(left_s, _TICK_S))
                now_s = self._monotonic()
                if packet is not None:
                    self._take(packet, reader.is_live)
                if is_patient and now_s - self._began_s > _PATIENCE_S:
                    is_patient = False
                    self._report_silence(reader)
                for view in self._views:
                    view.tick(now_s)
                self._losses.report_when_over(now_s)
            if is_patient and not self.packets:
                report_unanswered(reader)
        self._losses.report()
        self._report_totals(reader)

    def _left_s(self) -> float:
        """Return how long the run goes on."""
        if self._stop.is_set() or (self._count is not None and self.packets >= self._count):
            return 0.0
        return _TICK_S if self._seconds is None else self._began_s + self._seconds - self._monotonic()

    def _take(self, packet: Packet, is_live: bool) -> None:
        before_ns = self._next_ns.get(packet.stream)
        self._next_ns[packet.stream] = packet.next_ns
        gap_ns = None if before_ns is None else packet.start_ns - before_ns
        arrival = Arrival(packet, self._clock() if is_live else None, gap_ns, self._missing)
        self._missing = 0
        self.packets += 1
        for view in self._views:
            view.show(arrival)

    def _report_silence(self, reader: PacketReader) -> None:
        """Report which publishers do not answer, and that the others send nothing."""
        unanswered = report_unanswered(reader)
        if self.packets or not isinstance(reader, Subscriber):
            return
        there = [address for address in reader.addresses if address not in unanswered]
        if not there:
            return
        reason = f": {_passed_over(reader)}" if reader.passed_over else _doubts(reader.streams)
        report(f"waiting for data at {', '.join(there)}{reason}")

    def _report_totals(self, reader: PacketReader) -> None:
        lost = reader.lost.total()
        streams = f"{len(reader.received)} stream{'s' * (len(reader.received) != 1)}"
        text = f"{self.packets} packet{'s' * (self.packets != 1)} of {streams}"
        text += f" in {self._monotonic() - self._began_s:.1f} s, {lost} lost"
        if lost:
            text += f" ({_named(reader.lost)})"
        if reader.malformed:
            text += f", {reader.malformed} skipped that are not waveforms of ours"
        if isinstance(reader, JournalReader) and reader.messages:
            text += f", {_messages(reader.messages)}"
        if not self.packets and reader.passed_over:
            text += f": {_passed_over(reader)}"
        report(text)


def _doubts(streams: Sequence[str]) -> str:
    """Return what may be wrong when no data come."""
    like = (
        f" for streams like {' or '.join(streams)}. Are there any (without --stream all are shown)?" if streams else "."
    )
    return (
        f"{like} Does the receiver run and get samples (control-rawdaq status)? "
        "Is this the address of its ZMQTCPPublisher?"
    )


def _messages(counts: Mapping[Kind, int]) -> str:
    """Return which messages were left out, and how they are shown."""
    counted = " and ".join(f"{count} of the kind {kind}" for kind, count in sorted(counts.items()))
    return f"messages left out: {counted} ({' '.join(OPTIONS[kind] for kind in sorted(counts))} shows them)"


def _passed_over(reader: PacketReader) -> str:
    """Return which streams came that no pattern selects."""
    names = reader.passed_over
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f"{' or '.join(reader.streams)} {selects_nothing([*names[:_NAMED], *more])}"


def report_unanswered(reader: PacketReader | MessageSubscriber) -> list[str]:
    """Report the addresses at which no publisher has answered, and return them."""
    unanswered = reader.unanswered()
    for address, is_there in unanswered.items():
        if is_there:
            report(
                f"{address} takes connections, but does not publish to us: it refuses us (the receiver's log says "
                "why), or is not a ZMQTCPPublisher"
            )
        else:
            report(_why_unreached(address))
    return list(unanswered)


def _why_unreached(address: str) -> str:
    """Return why nothing listens at an address; looking that up may take seconds."""
    host = address.removeprefix("tcp://").rpartition(":")[0].rpartition(";")[2].strip("[]")
    try:
        if address.startswith("tcp:"):
            socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "that is not a host name"
        return f"host {host} of {address} is not found: {reason}"
    return f"nothing publishes at {address} (is the receiver running?)"


class Losses:
    """Lost messages, reported in one line for each outage."""

    def __init__(self) -> None:
        self._lost: Counter[str] = Counter()
        self._first_s = self._last_s = 0.0
        self._last: tuple[int, str] | None = None

    def add(self, name: str, missing: int, before_ns: int, address: str, now_s: float) -> None:
        """Add a loss.

        Args:
            name: of the stream or topic.
            missing: how many messages.
            before_ns: the time of the message after them.
            address: of the publisher.
            now_s: a monotonic clock.
        """
        if not self._lost:
            self._first_s = now_s
        self._last_s, self._last = now_s, (before_ns, address)
        self._lost[name] += missing

    def report_when_over(self, now_s: float) -> None:
        """Report what was lost in an outage that is over, or goes on for long."""
        if self._lost and (now_s - self._last_s > _OUTAGE_S or now_s - self._first_s > _OUTAGE_MAX_S):
            self.report()

    def report(self) -> None:
        """Report what was lost since the last report."""
        if self._last is not None and self._lost:
            before_ns, address = self._last
            report(
                f"lost {self._lost.total()} messages before {to_iso(before_ns)}, from {address} ({_named(self._lost)})"
            )
            self._lost.clear()


def _named(lost: Mapping[Any, int]) -> str:
    named = [f"{stream}: {missing}" for stream, missing in Counter(lost).most_common(_NAMED)]
    return ", ".join(named) + (f" and {len(lost) - _NAMED} more streams" if len(lost) > _NAMED else "")


def seconds(time_ns: int) -> float:
    """Return *time_ns* in seconds, for people and JSON."""
    return round(time_ns / NS_PER_S, 9)
