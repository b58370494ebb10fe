"""Messages whose layout a station file declares: `Layout` decodes and encodes them, `LayoutFrames` finds them in TCP.

`fields` reads the declaration of one field, `errors` has what a message or a value can do wrong.
"""

from rawdaq.protocols.layout.errors import ConstantDiffers, FieldUnknown
from rawdaq.protocols.layout.fields import ByteOrder, FieldValue
from rawdaq.protocols.layout.frames import LayoutFrames, LengthField
from rawdaq.protocols.layout.layout import Layout

__all__ = [
    "ByteOrder",
    "ConstantDiffers",
    "FieldUnknown",
    "FieldValue",
    "Layout",
    "LayoutFrames",
    "LengthField",
]
