"""What a peer sent, as log lines and errors show it."""

_SHOWN_CHARACTERS = 75


def elided(data: bytes | bytearray | memoryview) -> str:
    r"""Return *data* printable and at most 75 characters long, so that no peer floods a log.

    >>> elided(b"OK 1" + bytes(2))
    'OK 1\\x00\\x00'
    """
    text = repr(bytes(data[: 4 * _SHOWN_CHARACTERS]))[2:-1]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
