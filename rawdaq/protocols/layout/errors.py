"""What a message can do wrong that has a declared layout; each error carries its numbers and survives pickling."""

from dataclasses import dataclass

from rawdaq.errors import LocalProtocolError, RemoteProtocolError, error_text


@dataclass(eq=False, repr=False)
class WrongSize(RemoteProtocolError):
    """A message is shorter or longer than its layout."""

    size_bytes: int
    layout_bytes: int
    has_rest: bool

    def __str__(self) -> str:
        least = "at least " if self.has_rest else ""
        return f"message of {self.size_bytes} bytes, its layout has {least}{self.layout_bytes}"


@dataclass(eq=False, repr=False)
class ConstantDiffers(RemoteProtocolError):
    """A message is of another kind: a field does not have the value that the layout declares."""

    name: str
    value: object
    expected: object

    def __str__(self) -> str:
        return f"{self.name} is {shown(self.value)}, not {shown(self.expected)}"


@error_text("message of {size_bytes} bytes announced, possible are {least_bytes} to {most_bytes}")
class LengthImpossible(RemoteProtocolError):
    """A stream announces a message that cannot be; where the next one begins is unknown."""

    size_bytes: int
    least_bytes: int
    most_bytes: int


@dataclass(eq=False, repr=False)
class MessageCut(RemoteProtocolError):
    """The peer closed in the middle of a message."""

    received_bytes: int
    size_bytes: int | None

    def __str__(self) -> str:
        of = "a message" if self.size_bytes is None else f"a message of {self.size_bytes}"
        return f"the peer closed after {self.received_bytes} bytes of {of}"


@error_text("{name} has no value")
class FieldMissing(LocalProtocolError):
    """A message cannot be made without a value of this field."""

    name: str


@dataclass(eq=False, repr=False)
class FieldUnknown(LocalProtocolError):
    """The layout has no such field."""

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"the layout has no field {self.name!r}, only {', '.join(self.known)}"


@dataclass(eq=False, repr=False)
class ConstantGiven(LocalProtocolError):
    """A value was given for a field whose value the layout declares."""

    name: str
    value: object
    expected: object

    def __str__(self) -> str:
        return f"{self.name} is always {shown(self.expected)}, not {shown(self.value)}"


@dataclass(eq=False, repr=False)
class ValueUnfit(LocalProtocolError):
    """A field cannot have this value."""

    name: str
    kind: str
    value: object

    def __str__(self) -> str:
        return f"{shown(self.value)} is no value for {self.name} of type {self.kind}"


def shown(value: object) -> str:
    """Return *value* as a layout would write it, at most 75 characters.

    >>> shown(51966), shown(b"ab"), shown([1])
    ('0xcafe', "b'ab'", '[1]')
    """
    if type(value) is int and value > 9:
        return hex(value)
    text = repr(value)
    return text if len(text) <= 75 else f"{text[:74]}…"
