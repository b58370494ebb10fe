"""Messages whose layout a station file declares: `Layout` decodes and encodes them, `LayoutFrames` finds them in TCP.

`fields` reads the declaration of one field, `errors` has what a message or a value can do wrong.
"""

from rawdaq.protocols.layout.errors import (
    ConstantDiffers,
    ConstantGiven,
    FieldMissing,
    FieldUnknown,
    LengthImpossible,
    MessageCut,
    ValueUnfit,
    WrongSize,
)
from rawdaq.protocols.layout.fields import ByteOrder, FieldValue
from rawdaq.protocols.layout.frames import LayoutFrames, LengthField
from rawdaq.protocols.layout.layout import Layout

__all__ = [
    "ByteOrder",
    "ConstantDiffers",
    "ConstantGiven",
    "FieldMissing",
    "FieldUnknown",
    "FieldValue",
    "Layout",
    "LayoutFrames",
    "LengthField",
    "LengthImpossible",
    "MessageCut",
    "ValueUnfit",
    "WrongSize",
]
