"""One field of a declared layout: its name, its type, and the value that it must have, if it must.

========== ============================================================ =======================
type       on the wire                                                  value
========== ============================================================ =======================
u8 ... u64 unsigned integer of 8, 16, 32 or 64 bits                     int
i8 ... i64 signed integer                                               int
f32, f64   IEEE 754                                                     float
bN         N bits, the most significant first; neighbours share bytes   numbers of the bits set
xN         N bytes                                                      hexadecimal text
rest       all bytes that follow, perhaps none; only the last field     hexadecimal text
========== ============================================================ =======================
"""

import re
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from rawdaq.errors import InvalidValue

FieldValue: TypeAlias = "int | float | str | list[int]"

#: Of a `bN` or `xN` field: as much as a UDP datagram has.
MAX_FIELD_BYTES = 65_535

_FIELD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s+([a-z]+)([0-9]*)\s*(?:=\s*(\S+)\s*)?")
_NUMBERS = {
    "u8": "B",
    "u16": "H",
    "u32": "I",
    "u64": "Q",
    "i8": "b",
    "i16": "h",
    "i32": "i",
    "i64": "q",
    "f32": "f",
    "f64": "d",
}
_TYPES = "u8 u16 u32 u64 i8 i16 i32 i64 f32 f64, bN (N bits), xN (N bytes) and rest"


class ByteOrder(StrEnum):
    """The byte order of all numbers of a layout."""

    LITTLE = "little"
    BIG = "big"

    @property
    def mark(self) -> str:
        """Its word in the module `struct`."""
        return "<" if self is ByteOrder.LITTLE else ">"


class Kind(StrEnum):
    """What a field holds."""

    INTEGER = "integer"
    FLOAT = "float"
    BITS = "bits"
    BYTES = "bytes"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Field:
    """A field as it was declared.

    Attributes:
        name: as it is published.
        type: the declared word, such as ``u16``.
        kind: what that means.
        code: the word of `struct` for it; empty for bits and the rest.
        bits: how many it has; 0 for the rest.
        constant: the value that it must have; None: any.
    """

    name: str
    type: str
    kind: Kind
    code: str
    bits: int
    constant: int | float | str | None


def parse_field(text: str) -> Field:
    """Return the field that *text* declares: ``NAME TYPE`` or ``NAME TYPE = VALUE``.

    Raises:
        InvalidValue: it declares none; the text says what would be right.
    """
    match = _FIELD.fullmatch(text)
    if match is None:
        raise InvalidValue(f"field {text!r} is not NAME TYPE or NAME TYPE = VALUE, such as 'magic u16 = 0xCAFE'")
    name, letters, digits, constant = match.groups()
    kind, code, bits = _type(name, letters, digits)
    value = None if constant is None else _constant(name, letters + digits, kind, code, bits, constant)
    return Field(name, letters + digits, kind, code, bits, value)


def _type(name: str, letters: str, digits: str) -> tuple[Kind, str, int]:
    word = letters + digits
    if code := _NUMBERS.get(word):
        return Kind.FLOAT if letters == "f" else Kind.INTEGER, code, 8 * struct.calcsize(f"<{code}")
    if word == "rest":
        return Kind.REST, "", 0
    if letters not in ("b", "x") or not digits:
        raise InvalidValue(f"field {name!r} has type {word!r}; there are {_TYPES}")
    count, limit = int(digits[:9]), MAX_FIELD_BYTES * (8 if letters == "b" else 1)
    if not 1 <= count <= limit:
        raise InvalidValue(f"field {name!r} has type {word!r}; {letters}1 to {letters}{limit} are possible")
    return (Kind.BITS, "", count) if letters == "b" else (Kind.BYTES, f"{count}s", 8 * count)


def _constant(name: str, word: str, kind: Kind, code: str, bits: int, text: str) -> int | float | str:
    """Return the value that a field of a type must have."""
    try:
        match kind:
            case Kind.INTEGER:
                whole = int(text, 0)
                struct.pack(f"<{code}", whole)
                return whole
            case Kind.FLOAT:
                (value,) = struct.unpack(f"<{code}", struct.pack(f"<{code}", float(text)))  # f32 has not all of f64's
                if value == value:  # a NaN equals nothing
                    return float(value)
            case Kind.BYTES if 8 * len(bytes.fromhex(text.removeprefix("0x"))) == bits:
                return bytes.fromhex(text.removeprefix("0x")).hex()
            case _:
                pass
    except (ValueError, OverflowError, struct.error):
        pass
    if kind in (Kind.BITS, Kind.REST):
        raise InvalidValue(f"field {name!r} of type {word} can have no constant; u8 to u64 and xN can")
    raise InvalidValue(f"field {name!r} of type {word} can never be {text}")
