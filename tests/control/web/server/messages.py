"""Reads what the page reads: blocks."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from rawdaq.control.web.messages import LiveStream

#: first_ms, per_s and values of each block
Blocks = list[tuple[float, float, Any]]


def parsed(message: bytes, table: Mapping[int, LiveStream]) -> dict[int, Blocks]:
    """Return the blocks of *message* by stream, as ``docs/web.md`` describes them."""
    found: dict[int, Blocks] = {}
    at = 0
    while at < len(message):
        i, n, first_ms, per_s = struct.unpack_from("<IIdd", message, at)
        about = table[i]
        count = n * (2 if about.kind == "columns" else 1)
        values = np.frombuffer(message, "<i4" if about.sample_type == "int32" else "<f4", count, at + 24)
        found.setdefault(i, []).append((first_ms, per_s, values.reshape(-1, 2) if about.kind == "columns" else values))
        at += 24 + 4 * count
    assert at == len(message)
    return found
