"""Events whose layout a station file declares: see `rawdaq.protocols.layout`."""

from collections.abc import Sequence

from rawdaq.errors import InvalidValue
from rawdaq.protocols.events.event import Event, EventFormat, ForeignMessage, Frames
from rawdaq.protocols.events.times import Origin, Unit, reader
from rawdaq.protocols.layout import ConstantDiffers, FieldUnknown, Layout, LayoutFrames, LengthField
from rawdaq.protocols.layout.fields import Field, Kind

#: Of the JSON of all published fields: a header has a limit.
MAX_PUBLISHED_BYTES = 100_000


class LayoutFormat(EventFormat):
    """Reads messages of a declared layout.

    Args:
        layout: of every message.
        type: what the events are called.
        counter: the field whose jumps are losses; None: there is none.
        time: the fields that add up to the time, and their units; none: there is no time.
        origin: what it is counted from.
        publish: the fields of each event; None: all but the rest.
        source: the field that tells devices apart that send from one address; None: an address is a device.
        length: the field that says in a byte stream how long a message is; None: all have one size.

    Raises:
        InvalidValue: they do not go together; the text says why.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        type: str = "event",
        counter: str | None = None,
        time: Sequence[tuple[str, Unit]] = (),
        origin: Origin = Origin.UTC,
        publish: Sequence[str] | None = None,
        source: str | None = None,
        length: LengthField | None = None,
    ) -> None:
        self.layout = layout
        self._type = type
        self._counter = counter
        self._source = source
        self._length = length
        self._published = _published(layout, publish)
        needed = {*self._published, *(name for name, _ in time), *filter(None, (counter, source))}
        try:
            self._decode = layout.decoder(needed)
            self._check_counter()
            _check_time(layout, time)
            if length is not None:
                self.frames()
        except FieldUnknown as error:
            raise InvalidValue(str(error)) from None
        self._is_all = needed == set(self._published)
        self._stamp = reader(time, origin)

    def _check_counter(self) -> None:
        if self._counter is None:
            return
        field = self.layout.field(self._counter)
        if field.kind is not Kind.INTEGER or field.type.startswith("i"):
            raise InvalidValue(f"counter {field.name!r} is of type {field.type}, not an unsigned integer")
        self.counter_bits = field.bits

    def events(self, message: bytes) -> Sequence[Event]:
        """Return the one event of a message.

        Raises:
            ForeignMessage: a field does not have the value that it must have.
            RemoteProtocolError: it is not of the layout.
        """
        try:
            values = self._decode(message)
        except ConstantDiffers as error:
            raise ForeignMessage(str(error)) from None
        time_ns, ps, device_ns = self._stamp(values)
        counter = values[self._counter] if self._counter else None
        fields = values if self._is_all else {name: values[name] for name in self._published}
        number = counter if isinstance(counter, int) else None
        source = str(values[self._source]) if self._source else ""
        return (Event(self._type, fields, time_ns, ps, device_ns, number, None, source),)

    def frames(self) -> Frames:
        """Return what finds the messages in a byte stream.

        Raises:
            InvalidValue: nothing in them says how long they are.
        """
        return LayoutFrames(self.layout, self._length)


def _published(layout: Layout, publish: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the published fields in the layout's order."""
    if publish is None:
        names = tuple(field.name for field in layout.fields if field.kind is not Kind.REST)
    else:
        for name in publish:
            if name not in layout.names:
                raise InvalidValue(f"publish: {FieldUnknown(name, layout.names)}")
        names = tuple(name for name in layout.names if name in publish)
    size_bytes = sum(map(_json_bytes, map(layout.field, names)))
    if size_bytes > MAX_PUBLISHED_BYTES:
        largest = max(names, key=lambda name: _json_bytes(layout.field(name)))
        raise InvalidValue(
            f"the fields of an event can have {size_bytes} bytes of JSON, limit is {MAX_PUBLISHED_BYTES}: name those "
            f"that you need with publish, without {largest!r}; the event's bytes are published beside them"
        )
    return names


def _json_bytes(field: Field) -> int:
    """Return at most how many bytes of JSON *field* can make; what a rest makes is known when it comes."""
    digits = {Kind.BITS: field.bits * (len(str(field.bits)) + 1), Kind.BYTES: field.bits // 4, Kind.REST: 0}
    return len(field.name) + 5 + digits.get(field.kind, 25)


def _check_time(layout: Layout, time: Sequence[tuple[str, Unit]]) -> None:
    for name, unit in time:
        if layout.field(name).kind not in (Kind.INTEGER, Kind.FLOAT):
            raise InvalidValue(f"time {name!r} is of type {layout.field(name).type}, not a number")
        if unit is Unit.ISO:
            raise InvalidValue(f"time {name!r} is a number; its unit is s, ms, us, ns or ps")
