"""How streams are called in DataLink: ``FDSN:NET_STA_LOC_B_S_SS/TYPE`` in 1.1, ``NET_STA_LOC_CHA/TYPE`` in 1.0."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from rawdaq.errors import InvalidValue
from rawdaq.protocols.datalink.errors import StreamIdInvalid
from rawdaq.stream_id import StreamId

#: What ringserver 4 stores of an id; the servers that speak 1.0 cut longer ones to 59 bytes without a word.
MAX_ID_BYTES: Final = 63
MAX_ID_BYTES_1_0: Final = 59

_PREFIX = "FDSN:"
_SPECIAL = re.compile(r"([^A-Za-z0-9_:/-])")
_ID = re.compile(r"[!-~]+")
_LEGACY = re.compile(r"([0-9A-Z]{1,2})_([0-9A-Z]{1,5})_([0-9A-Z]{0,2})_([0-9A-Z])([0-9A-Z])([0-9A-Z])/MSEED")


class PayloadType(StrEnum):
    """What stands after the slash of a stream id: the types that we read; there may be any other."""

    MSEED = "MSEED"
    MSEED3 = "MSEED3"
    JSON = "JSON"
    BZJSON = "BZJSON"


class IdStyle(StrEnum):
    """How the part before the slash names a stream."""

    FDSN = "FDSN"
    SEED = "SEED"


def datalink_id(stream: StreamId, payload_type: str, style: IdStyle = IdStyle.FDSN) -> str:
    """Return the id of *stream*.

    A channel that SEED cannot name keeps its parts in the style SEED too, as simpledali writes it.

    >>> datalink_id(StreamId.parse("XX.TOWR.00.HHZ"), "MSEED"), datalink_id(StreamId.parse("XX.A..HHZ"), "JSON", "SEED")
    ('FDSN:XX_TOWR_00_H_H_Z/MSEED', 'XX_A__HHZ/JSON')
    """
    if style == IdStyle.FDSN:
        return f"{stream.fdsn}/{payload_type}"
    return f"{stream.network}_{stream.station}_{stream.location}_{stream.channel}/{payload_type}"


def payload_type(name: str) -> str:
    """Return what follows the first slash; empty when there is none."""
    return name.partition("/")[2]


def stream_of(name: str) -> StreamId | None:
    """Return the stream that an id of either style names; None when it names none that we could.

    >>> stream_of("FDSN:XX_TOWR_00_H_H_Z/MSEED") == stream_of("XX_TOWR_00_HHZ/MSEED") == stream_of("XX_TOWR_00_H_H_Z/A")
    True
    """
    parts = name.partition("/")[0].removeprefix(_PREFIX).split("_", 3)
    try:
        return StreamId(*parts) if len(parts) == 4 else None
    except InvalidValue:
        return None


def translated(name: str) -> str:
    """Return the id under which a server of 1.1 keeps a packet that is written as *name*.

    >>> translated("XX_TOWR__HHZ/MSEED"), translated("XX_TOWR__HHZ/JSON")
    ('FDSN:XX_TOWR__H_H_Z/MSEED', 'XX_TOWR__HHZ/JSON')
    """
    match = _LEGACY.fullmatch(name)
    return f"FDSN:{'_'.join(match.groups())}/MSEED" if match else name


def check_id(name: str, limit_bytes: int = MAX_ID_BYTES) -> None:
    """Refuse an id that a server would refuse or change.

    Raises:
        StreamIdInvalid: the text says why.
    """
    if not _ID.fullmatch(name):
        raise StreamIdInvalid(name, "is empty, or has other characters than printable ASCII without spaces")
    if len(name) > limit_bytes:
        raise StreamIdInvalid(name, f"has {len(name)} bytes, the server keeps {limit_bytes}")


def expression_of(names: Iterable[str]) -> str:
    r"""Return an expression that selects exactly the streams with these ids.

    >>> expression_of(["FDSN:XX_A__H_H_Z/MSEED", "XX.B/J"])
    '^(FDSN:XX_A__H_H_Z/MSEED|XX\\.B/J)$'
    """
    # Not re.escape: it escapes what needs no backslash, and the server's limit counts them.
    escaped = (_SPECIAL.sub(r"\\\1", name) for name in names)
    return f"^({'|'.join(escaped)})$"
