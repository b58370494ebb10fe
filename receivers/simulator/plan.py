"""What a simulation has: sources, each a kind of message from some senders to one receiver, and faults."""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from rawdaq.config.options import Settings
from rawdaq.errors import InvalidValue
from rawdaq.events.settings import LayoutSettings
from rawdaq.receivers.simulator.formula import Formula
from rawdaq.streams.assembly.formats import FormatOption

MAX_SENDERS = 4096

#: Names that formulas may refer to.
READOUT_NAMES = ("slot", "channel", "sample", "number")
EVENT_NAMES = ("slot", "number", "time_ns")


def _checked_target(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:17000 or [::1]:17000")
    return text


def _checked_address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


class SourceSettings(Settings):
    """Senders of one kind.

    Attributes:
        kind: ``readouts`` of a `format`, ``events`` of a `layout`, ``times`` (NMEA sentences RMC, ZDA and GGA) or
            ``logs`` (JSON lines).
        to: ``HOST:PORT`` of the receiver.
        transport: ``udp`` or ``tcp``; by default logs go by TCP, all else by UDP.
        senders: how many there are.
        first_address: the address of the first sender, such as 127.0.1.101; each further one has the next address.
            Without it the system chooses, so all have the same.
        rate_hz: how many readouts, events, times or log records each sender makes a second.
        per_packet: how many of them are in one message.
        format: of readouts, a name of the group ``rawdaq.readout_formats``, or a block of that name with options.
        values: of readouts: ``walk``, ``sine``, ``noise``, or a formula of slot, channel, sample and number such as
            ``slot * 100 + channel``, in the device's integers. Of events: a formula of slot, number and time_ns for
            each field; fields without one are 0.
        layout: of events.
        origin: what clocks show at the start: ``utc``, or ``zero``.
        level: of log records.
    """

    kind: Literal["readouts", "events", "times", "logs"]
    to: Annotated[str, AfterValidator(_checked_target)]
    transport: Literal["udp", "tcp"] | None = None
    senders: Annotated[int, Field(ge=1, le=MAX_SENDERS)] = 1
    first_address: Annotated[str, AfterValidator(_checked_address)] | None = None
    rate_hz: Annotated[float, Field(gt=0, le=1e6)] = 10.0
    per_packet: Annotated[int, Field(ge=1, le=1000)] = 1
    format: FormatOption = "raw"
    values: str | dict[str, str] | None = None
    layout: LayoutSettings | None = None
    origin: Literal["utc", "zero"] = "utc"
    level: Annotated[int, Field(ge=0, le=1000)] = 20

    @model_validator(mode="after")
    def _check(self) -> "SourceSettings":
        if (self.kind == "events") != (self.layout is not None):
            raise ValueError("`layout` says what events are, and belongs to `kind: events` alone")
        if self.kind != "readouts" and self.format != "raw":
            raise ValueError("`format` belongs to `kind: readouts`")
        if self.values is not None and isinstance(self.values, dict) != (self.kind == "events"):
            raise ValueError("`values` is one formula for readouts, and one for each field of events")
        if self.values is not None and self.kind in ("times", "logs"):
            raise ValueError(f"`values` does not belong to `kind: {self.kind}`")
        self._check_formulas()
        return self

    def _check_formulas(self) -> None:
        try:
            if isinstance(self.values, dict):
                for text in self.values.values():
                    Formula(text, EVENT_NAMES)
            elif self.values is not None and self.values not in ("walk", "sine", "noise"):
                Formula(self.values, READOUT_NAMES)
        except InvalidValue as error:
            raise ValueError(str(error)) from error

    @property
    def is_tcp(self) -> bool:
        """Whether messages go by TCP."""
        return (self.transport or ("tcp" if self.kind == "logs" else "udp")) == "tcp"

    @property
    def target(self) -> tuple[str, int]:
        """Host and port of the receiver."""
        host, _, port = self.to.rpartition(":")
        return host.strip("[]"), int(port)

    def address(self, slot: int) -> str | None:
        """Return the address of the sender *slot*; None when the system chooses."""
        return None if self.first_address is None else str(ipaddress.ip_address(self.first_address) + slot)
