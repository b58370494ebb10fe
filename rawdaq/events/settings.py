"""The blocks of a station file that describe messages: their layout, their time, their length in a stream."""

from typing import Annotated, Any, Literal

from pydantic import Field

from rawdaq.config.options import Settings
from rawdaq.errors import InvalidValue
from rawdaq.protocols.events.times import Origin, Unit
from rawdaq.protocols.layout import ByteOrder, Layout, LengthField

UnitWord = Literal["s", "ms", "us", "ns", "ps", "iso"]
FieldName = Annotated[str, Field(min_length=1, max_length=200)]


class LayoutSettings(Settings):
    """The fields of a message in their order.

    >>> LayoutSettings(fields=["magic u16 = 0xCAFE", "count u32"]).layout().size_bytes
    6

    Attributes:
        fields: each ``NAME TYPE``, or ``NAME TYPE = VALUE`` where a message of another value is foreign. Types are u8
            to u64 and i8 to i64 (integers), f32 and f64, bN (N bits, most significant first, published as the numbers
            of those set), xN (N bytes, published as hexadecimal text) and, as the last one, rest.
        byte_order: of all numbers.
    """

    fields: Annotated[list[str], Field(min_length=1, max_length=1000)]
    byte_order: Literal["little", "big"] = "little"

    def layout(self) -> Layout:
        """Return the compiled layout.

        Raises:
            InvalidValue: the fields make none; the text says why.
        """
        return Layout.parse(self.fields, ByteOrder(self.byte_order))


class TimeSettings(Settings):
    """Which values of a message are its time.

    >>> TimeSettings(field=["sec", "nsec"], unit=["s", "ns"]).parts()
    [('sec', <Unit.SECONDS: 's'>), ('nsec', <Unit.NANOSECONDS: 'ns'>)]

    Attributes:
        field: the name of the value, or of several that add up; it may be a path where messages
            have one, such as ``$.gps.time``.
        unit: of the value, or of each of several; ``iso`` is text like ``2026-11-21T00:00:00.01Z``.
        origin: ``utc`` counts from 1970, ``device`` from whatever the device likes; then events have ``device_ns``.
    """

    field: FieldName | Annotated[list[FieldName], Field(min_length=1, max_length=10)]
    unit: UnitWord | list[UnitWord] = "ns"
    origin: Literal["utc", "device"] = "utc"

    def parts(self) -> list[tuple[str, Unit]]:
        """Return each value's name with its unit.

        Raises:
            InvalidValue: there are more units than values, or fewer.
        """
        fields = [self.field] if isinstance(self.field, str) else self.field
        units = [self.unit] * len(fields) if isinstance(self.unit, str) else self.unit
        if len(units) != len(fields):
            raise InvalidValue(f"time has {len(fields)} fields and {len(units)} units; give one unit for each")
        return [(field, Unit(unit)) for field, unit in zip(fields, units, strict=True)]


def time_options(time: TimeSettings | None) -> dict[str, Any]:
    """Return *time* as formats take it."""
    return {} if time is None else {"time": time.parts(), "origin": Origin(time.origin)}


class LengthSettings(Settings):
    """How long a message in a TCP stream is: *times* the value of *field*, and *plus_bytes* more, in all.

    Attributes:
        field: the name of the field, an unsigned integer.
        times: bytes for each unit of its value.
        plus_bytes: what the value does not count; below zero, where it counts more than there is.
    """

    field: FieldName
    times: Annotated[int, Field(ge=1, le=65_536)] = 1
    plus_bytes: Annotated[int, Field(ge=-65_536, le=65_536)] = 0


def length_field(length: str | LengthSettings | None) -> LengthField | None:
    """Return *length* as layouts take it; a name alone is that of a field which counts all bytes."""
    if length is None or isinstance(length, str):
        return LengthField(length) if length else None
    return LengthField(length.field, length.times, length.plus_bytes)
