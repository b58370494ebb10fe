"""What a station file says about readouts: formats, slots and waveforms, with clear words where they do not fit."""

import ipaddress
import re
import string
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, field_validator

from rawdaq.config.channels import check_distinct, station_stream
from rawdaq.config.settings import Settings, StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId
from rawdaq.streams.assembly.readout_format import ReadoutFormat

#: Of an assembly: a mask of them has half a kilobyte.
MAX_SLOTS = 4096

SlotNumber = Annotated[int, Field(ge=0, lt=MAX_SLOTS)]

_PORT = re.compile(r"(.*):(\d{1,5})")


def sender_key(text: str) -> str:
    """Return *text*, an address with or without a port, or a ZMQ address, as senders are found by it.

    >>> sender_key("192.0.2.101"), sender_key("[2001:DB8::1]:9000"), sender_key("tcp://192.0.2.7:9004")
    ('192.0.2.101', '[2001:db8::1]:9000', 'tcp://192.0.2.7:9004')

    Raises:
        ValueError: it is not one of them.
    """
    if "://" in text:
        return text
    found = _PORT.fullmatch(text) if text.startswith("[") or text.count(":") == 1 else None
    host, port = (found[1].strip("[]"), f":{int(found[2])}") if found else (text.strip("[]"), "")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        wanted = "an address like 192.0.2.101, one with its port like 192.0.2.101:9000, or a ZMQ address"
        raise ValueError(f"{text!r} is not {wanted}") from None
    plain = str(address)
    return f"[{plain}]{port}" if port and address.version == 6 else f"{plain}{port}"


class SlotSettings(Settings):
    """Which sender is which row of a readout.

    Attributes:
        by: ``address``: `senders` says it; ``octet``: the last byte of the sender's address; ``field``: the packets.
        senders: addresses, with or without a port, and their slots; the block may also be these alone.
        first: with ``octet`` the byte that is slot 0.
        count: how many slots there are, with ``octet`` and ``field``.
    """

    by: Literal["address", "octet", "field"] = "address"
    senders: dict[str, SlotNumber] = Field(default_factory=dict)
    first: Annotated[int, Field(ge=0, le=255)] = 0
    count: Annotated[int, Field(ge=1, le=MAX_SLOTS)] | None = None

    @field_validator("senders")
    @classmethod
    def _check(cls, senders: dict[str, int]) -> dict[str, int]:
        found = {sender_key(text): slot for text, slot in senders.items()}
        slots = list(found.values())
        if twice := sorted({slot for slot in slots if slots.count(slot) > 1}):
            raise ValueError(f"slot {', '.join(map(str, twice))} has two senders; each has a slot of its own")
        return found

    def mistakes(self) -> list[str]:
        """Return what does not go together."""
        if self.by == "address":
            if self.count is not None or self.first:
                return ["slots: first and count are for `by: octet` and `by: field`; with addresses they follow"]
            return [] if self.senders else ["slots: at least one sender is needed, such as slots: {192.0.2.101: 0}"]
        if self.senders:
            return [f"slots: either senders, or by: {self.by}"]
        if self.count is None:
            return [f"slots: by: {self.by} needs how many there are, such as count: 32"]
        if self.by == "octet" and self.first + self.count > 256:
            return [f"slots: an octet ends at 255, first: {self.first} and count: {self.count} go beyond"]
        return []

    @property
    def hosts(self) -> list[str]:
        """The addresses of `senders`, without their ports."""
        found = (key.rpartition(":")[0] if key.startswith("[") or key.count(":") == 1 else key for key in self.senders)
        return [host.strip("[]") for host in found]

    @property
    def total(self) -> int:
        """How many senders there can be."""
        return max(self.senders.values(), default=-1) + 1 if self.by == "address" else self.count or 0


def as_slots(value: Any) -> Any:
    """Return *value* as the fields of `SlotSettings`; senders with their slots alone are one of them."""
    if isinstance(value, dict):
        given = cast("Mapping[object, object]", value)
        if not given.keys() & SlotSettings.model_fields.keys():
            return {"senders": given}
    return cast("Any", value)


class StreamSettings(Settings):
    """Waveforms that are made of readouts.

    Attributes:
        rate_hz: how many samples a channel has in a second: the rate of the readouts, times the samples in each.
        names: the ``[location.]channel`` of each, with ``{slot}`` and ``{channel}`` in it, like
            ``{slot:02d}.S_H_{channel:02d}``; or for each slot a list of those of its channels.
        time_from: ``device`` when its time is UTC; ``arrival`` when it is not: then the least difference of arrival and
            device's time is taken, anew in each epoch.
        block_s: how many seconds of samples make a packet at least.
    """

    rate_hz: Annotated[float, Field(ge=1e-9, le=1e9)]
    names: str | list[list[str]]
    time_from: Literal["device", "arrival"] = "device"
    block_s: Annotated[float, Field(ge=0, le=3600)] = 1.0

    @field_validator("names")
    @classmethod
    def _check(cls, names: str | list[list[str]]) -> str | list[list[str]]:
        if isinstance(names, str):
            fields = [field for _, field, _, _ in string.Formatter().parse(names) if field is not None]
            if set(fields) - {"slot", "channel"}:
                raise ValueError(f"{names!r} may have {{slot}} and {{channel}} in it, nothing else in braces")
        return names

    def streams(self, station: StationSettings, slots: int, channels: int) -> list[list[StreamId]]:
        """Return the stream of each channel of each slot.

        Raises:
            InvalidValue: a name cannot be, or is there twice, or there are too few.
        """
        codes = [[self._code(slot, channel) for channel in range(channels)] for slot in range(slots)]
        found = [[station_stream(station, code) for code in row] for row in codes]
        check_distinct((stream for row in found for stream in row), "channels")
        return found

    def _code(self, slot: int, channel: int) -> str:
        if isinstance(self.names, str):
            try:
                return self.names.format(slot=slot, channel=channel)
            except (ValueError, KeyError, IndexError, AttributeError) as error:
                raise InvalidValue(f"names: {self.names!r} cannot be filled in: {error}") from error
        if slot >= len(self.names) or channel >= len(self.names[slot]):
            raise InvalidValue(f"names: slot {slot} has no code for its channel {channel}")
        return self.names[slot][channel]


#: Which sender is which row.
SlotsOption = Annotated[
    SlotSettings, BeforeValidator(as_slots, json_schema_input_type=SlotSettings | dict[str, SlotNumber])
]


def check_slots(settings: SlotSettings, chosen: ReadoutFormat, *, has_addresses: bool) -> list[str]:
    """Return what does not go together in *settings* and the format."""
    found = settings.mistakes()
    if found:
        return found
    if settings.by == "field" and not chosen.says_sender:
        found.append("slots: packets of this format do not say who sends them; use addresses, or by: octet")
    if settings.by == "octet" and not has_addresses:
        found.append("slots: by: octet needs senders with addresses, which ZMQ does not have")
    if settings.by != "field" and settings.total * chosen.numbers > MAX_SLOTS:
        found.append(f"slots: {settings.total} senders of {chosen.numbers} rows are more than {MAX_SLOTS} slots")
    return found


def unused_slots(settings: SlotSettings, numbers: int) -> frozenset[int]:
    """Return the slots between others that no sender has."""
    if settings.by != "address":
        return frozenset()
    missing: Sequence[int] = [slot for slot in range(settings.total) if slot not in settings.senders.values()]
    return frozenset(slot * numbers + number for slot in missing for number in range(numbers))
