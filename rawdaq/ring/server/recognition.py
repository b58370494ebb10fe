"""The protocol that a client speaks, recognised by the first bytes that it sends."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class Spoken(StrEnum):
    """What a client speaks."""

    SEEDLINK = "SeedLink"
    DATALINK = "DataLink"
    ISI = "ISI"
    HTTP = "HTTP"


_DATALINK: Final = b"DL"
_ISI: Final = b"IACP"
_HTTP: Final = (b"GET", b"HEA", b"POS", b"PUT", b"DEL", b"TRA", b"CON", b"OPT", b"PAT")


def recognise(head: bytes, served: Collection[Spoken]) -> Spoken | None:
    """Return what a client speaks; None while too little has come to decide.

    Args:
        head: what has come.
        served: what is served where it connected; what no other one is, is SeedLink, or else DataLink, or else ISI.

    >>> recognise(b"HELLO", list(Spoken)), recognise(b"HE", list(Spoken)), recognise(b"DL", list(Spoken))
    (<Spoken.SEEDLINK: 'SeedLink'>, None, <Spoken.DATALINK: 'DataLink'>)
    """
    if not head:
        return None
    if any(head.startswith(word) or word.startswith(head) for word in _HTTP):
        return Spoken.HTTP if len(head) >= len(_HTTP[0]) else None
    for spoken, word in ((Spoken.ISI, _ISI), (Spoken.DATALINK, _DATALINK)):
        if spoken in served and (head.startswith(word) or word.startswith(head)):
            return spoken if len(head) >= len(word) else None
    return next(spoken for spoken in (Spoken.SEEDLINK, Spoken.DATALINK, Spoken.ISI) if spoken in served)
