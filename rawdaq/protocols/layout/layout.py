"""A message of declared fields, compiled once: bytes to values and back.

>>> layout = Layout.parse(["magic u16 = 0xCAFE", "kind u8", "mask b8", "data rest"], ByteOrder.LITTLE)
>>> layout.encode({"kind": 3, "mask": [0, 7], "data": "0aff"}).hex()
'feca03810aff'
>>> layout.decode(bytes.fromhex("feca03810aff"))
{'magic': 51966, 'kind': 3, 'mask': [0, 7], 'data': '0aff'}
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from rawdaq.errors import InvalidValue
from rawdaq.protocols.layout.errors import (
    ConstantDiffers,
    ConstantGiven,
    FieldMissing,
    FieldUnknown,
    ValueUnfit,
    WrongSize,
)
from rawdaq.protocols.layout.fields import ByteOrder, Field, FieldValue, Kind, parse_field

Message = bytes | bytearray | memoryview
Values = dict[str, FieldValue]

#: One message has at most so many; a declaration is written by hand.
MAX_FIELDS = 1000


class _Unit(NamedTuple):
    """What `struct` reads at once: one field, or neighbours of bits that share bytes."""

    fields: tuple[Field, ...]
    code: str


class _Step(NamedTuple):
    """How a value is made of the unit at *place* that `struct` has read."""

    name: str
    place: int
    convert: Callable[[Any], FieldValue] | None


class Layout:
    """The fields of a message in their order.

    Args:
        fields: the fields.
        byte_order: of all their numbers.

    Attributes:
        fields: the fields.
        byte_order: of all their numbers.
        names: of the fields, in their order.
        has_rest: whether messages may be longer than `size_bytes`.
        size_bytes: of all fields but the rest.

    Raises:
        InvalidValue: they make no layout; the text says why.
    """

    def __init__(self, fields: Iterable[Field], byte_order: ByteOrder) -> None:
        self.fields = tuple(fields)
        self.byte_order = ByteOrder(byte_order)
        self.names = tuple(field.name for field in self.fields)
        self._check()
        self.has_rest = self.fields[-1].kind is Kind.REST
        self._by_name = dict(zip(self.names, self.fields, strict=True))
        self._units = list(_units(self.fields))
        self._struct = struct.Struct(self.byte_order.mark + "".join(unit.code for unit in self._units))
        self.size_bytes = self._struct.size
        self._constants = [
            (index, bytes.fromhex(value) if isinstance(value, str) else value, unit.fields[0].name)
            for index, unit in enumerate(self._units)
            if (value := unit.fields[0].constant) is not None
        ]
        self.decode = self.decoder(self.names)

    @classmethod
    def parse(cls, fields: Iterable[str], byte_order: ByteOrder = ByteOrder.LITTLE) -> "Layout":
        """Return the layout of fields that are declared as in `rawdaq.protocols.layout.fields`.

        Raises:
            InvalidValue: they make no layout; the text says why.
        """
        return cls(map(parse_field, fields), byte_order)

    def _check(self) -> None:
        if not 1 <= len(self.fields) <= MAX_FIELDS:
            raise InvalidValue(f"a layout has 1 to {MAX_FIELDS} fields, not {len(self.fields)}")
        if twice := [name for name in dict.fromkeys(self.names) if self.names.count(name) > 1]:
            raise InvalidValue(f"field {twice[0]!r} is there twice; give one of them another name")
        for field in self.fields[:-1]:
            if field.kind is Kind.REST:
                raise InvalidValue(f"field {field.name!r} is the rest, so nothing can follow it; move it to the end")

    def field(self, name: str) -> Field:
        """Return the field *name*.

        Raises:
            FieldUnknown: there is none.
        """
        if name not in self._by_name:
            raise FieldUnknown(name, self.names)
        return self._by_name[name]

    def offset_bytes(self, name: str) -> int:
        """Return where the field *name* begins, for bits: the first byte that has one of them.

        Raises:
            FieldUnknown: there is none.
        """
        field, bits = self.field(name), 0
        for each in self.fields[: self.fields.index(field)]:
            bits += each.bits
        return bits // 8

    def decoder(self, names: Iterable[str]) -> Callable[[Message], Values]:
        """Return what decodes a message to the values of the fields *names*, in the layout's order.

        The callable raises `WrongSize` of a message of another size, and `ConstantDiffers` of one that is of another
        kind; then nothing else of it is looked at.

        Raises:
            FieldUnknown: one of *names* is not there.
        """
        wanted = {self.field(name).name for name in names}
        steps = [step for step in self._steps() if step.name in wanted]
        rest = self.names[-1] if self.has_rest and self.names[-1] in wanted else None

        def decode(message: Message) -> Values:
            raw = self._checked(message)
            values: Values = {
                name: raw[place] if convert is None else convert(raw[place]) for name, place, convert in steps
            }
            if rest is not None:
                values[rest] = bytes(message[self.size_bytes :]).hex()
            return values

        return decode

    def _checked(self, message: Message) -> tuple[Any, ...]:
        """Return what `struct` reads of *message*, which is of this layout."""
        size_bytes = len(message)
        if size_bytes < self.size_bytes or (size_bytes > self.size_bytes and not self.has_rest):
            raise WrongSize(size_bytes, self.size_bytes, self.has_rest)
        raw = self._struct.unpack_from(message)
        for index, expected, name in self._constants:
            if raw[index] != expected:
                value = raw[index].hex() if isinstance(expected, bytes) else raw[index]
                raise ConstantDiffers(name, value, expected.hex() if isinstance(expected, bytes) else expected)
        return raw

    def _steps(self) -> Iterator[_Step]:
        for index, unit in enumerate(self._units):
            first = unit.fields[0]
            if first.kind is not Kind.BITS:
                yield _Step(first.name, index, bytes.hex if first.kind is Kind.BYTES else None)
                continue
            begin = 0
            for field in unit.fields:
                yield _Step(field.name, index, _bits_reader(begin, begin + field.bits))
                begin += field.bits

    def encode(self, values: Mapping[str, FieldValue]) -> bytes:
        """Return the message with these *values*; constants need not be given.

        Raises:
            FieldMissing, FieldUnknown, ConstantGiven, ValueUnfit: the values make no such message.
        """
        for name in values:
            self.field(name)
        complete = [_value(field, values) for field in self.fields]
        packed = b"".join(self._packed(unit, complete) for unit in self._units)
        return packed + (_bytes(self.fields[-1], complete[-1]) if self.has_rest else b"")

    def _packed(self, unit: _Unit, complete: Sequence[FieldValue]) -> bytes:
        field = unit.fields[0]
        begin = self.fields.index(field)
        if field.kind is Kind.BITS:
            return _packed_bits(unit.fields, complete[begin : begin + len(unit.fields)])
        value = complete[begin]
        try:
            return struct.pack(self.byte_order.mark + unit.code, _bytes(field, value) if "s" in unit.code else value)
        except (struct.error, OverflowError):
            raise ValueUnfit(field.name, field.type, value) from None


def _units(fields: Sequence[Field]) -> Iterator[_Unit]:
    for kind, group in groupby(fields, key=lambda field: field.kind):
        members = tuple(group)
        if kind is Kind.BITS:
            bits = sum(field.bits for field in members)
            if bits % 8:
                ends = f"end {bits % 8} bits after the begin of a byte; add a field b{-bits % 8}"
                raise InvalidValue(f"bits {', '.join(field.name for field in members)} {ends}")
            yield _Unit(members, f"{bits // 8}s")
        elif kind is not Kind.REST:
            yield from (_Unit((field,), field.code) for field in members)


def _bits_reader(begin: int, end: int) -> Callable[[bytes], list[int]]:
    """Return what gives the numbers of the bits that are set among those from *begin* to *end*."""

    def read(data: bytes) -> list[int]:
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        numbers: list[int] = np.flatnonzero(bits[begin:end]).tolist()
        return numbers

    return read


def _value(field: Field, values: Mapping[str, FieldValue]) -> FieldValue:
    value = values.get(field.name, field.constant)
    if value is None:
        raise FieldMissing(field.name)
    if field.constant is not None and value != field.constant:
        raise ConstantGiven(field.name, value, field.constant)
    return value


def _bytes(field: Field, value: FieldValue) -> bytes:
    """Return the bytes of hexadecimal text, as many as the field has."""
    try:
        data = bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        data = None
    if data is None or len(data) * 8 != (field.bits or len(data) * 8):
        raise ValueUnfit(field.name, field.type, value)
    return data


def _packed_bits(fields: Sequence[Field], values: Sequence[FieldValue]) -> bytes:
    bits: list[int] = []
    for field, value in zip(fields, values, strict=True):
        one = [0] * field.bits
        for number in value if isinstance(value, list) else (-1,):
            if not 0 <= number < field.bits:
                raise ValueUnfit(field.name, field.type, value)
            one[number] = 1
        bits += one
    return np.packbits(np.array(bits, np.uint8)).tobytes()
