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
Head = TypeVar("Head", bound=tuple[Any, ...])
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

def frame_few(
    data: Buffer, has_quality: bool, heads: dict[int, Head], most: int, received_ns: int, /
) -> tuple[bytes, list[Head], list[int]] | None:
    """Frame a few RAW packets as messages, which carry what packets made of `read_few` would.

    Args:
        data: what arrived.
        has_quality: whether the layout is that of RAW 2.0; otherwise that of the versions before.
        heads: for each channel the first frame of its messages as with `frame`, the size of a sample, the beginning of
            the second frame's body, and an object whose ``next_sequence`` is the number of its next packet; what
            follows is not looked at. Samples must be as a message has them.
        most: how many are few, as with `read_few`.
        received_ns: when they arrived.

    Returns:
        The three ZMTP frames of each message, all in one piece; the head of each; how many bytes each has. None when
        `read_few` would return it, a channel has no head, there are more than 64, or more than 32768 bytes of them.

    Raises:
        AttributeError, OverflowError, TypeError, ValueError: arguments that are none.
    """
