"""Packets that come singly, in few steps: compiled from single_packets.c where there is a C compiler.

The layouts are those of RAW 1.0 to 2.0 (`rawdaq.protocols.raw`), of our ZMQ message (`rawdaq.protocols.message`) and of
ZMTP 3 (`rawdaq.protocols.zmtp`), where the same is done in Python.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Buffer: TypeAlias = bytes | bytearray | memoryview | NDArray[Any]
Block = TypeVar("Block")
DType: TypeAlias = np.dtype[Any]

def read_few(
    data: Buffer,
    has_quality: bool,
    kinds: dict[int, tuple[DType, int]],
    most: int,
    make_block: Callable[[tuple[int, int, int, NDArray[Any]]], Block],
    make_samples: Callable[[Buffer, DType, int, int], NDArray[Any]],
    /,
) -> list[Block] | None:
    """Read a few RAW packets.

    Args:
        data: what arrived.
        has_quality: whether the layout is that of RAW 2.0; otherwise that of the versions before.
        kinds: for each channel the type of its samples, and the size of one.
        most: how many are few: *data* must be shorter than so many packets like its first one.
        make_block: takes (channel, start_ns, timing_quality, samples) of a packet.
        make_samples: takes data, type, count and position as `numpy.frombuffer` does.

    Returns:
        What *make_block* made, or None when *data* is not just a few whole packets, or anything in it is not plainly
        right, or a packet has no samples.

    Raises:
        TypeError, ValueError: arguments that are none.
    """

def frame(
    topic_frame: bytes,
    head: bytes,
    samples: NDArray[Any],
    sequence: int,
    start_ns: int,
    timing_quality: int | None,
    received_ns: int,
    /,
) -> bytes:
    """Return the three ZMTP frames of a message.

    Args:
        topic_frame: the first of them, with what precedes its body.
        head: what precedes ``"shape"`` in the body of the second.
        samples: the body of the third.
        sequence: for ``"frame"``.
        start_ns: of the first sample.
        timing_quality: in percent, or None.
        received_ns: when it arrived.

    Raises:
        BufferError, ValueError: the samples do not lie one after the other.
        OverflowError: a number is not in 64 bits.
        TypeError: arguments that are none.
    """
