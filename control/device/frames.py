"""A fake detector: frames of any shape and type, made up or from files, with faults where they are asked for."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import zmq

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols.array import BinaryHeader, HeaderForm, encode_header
from rawdaq.sockets.zeromq.socket import check_zmq_address, set_common_options, watched
from rawdaq.times import NS_PER_S

_POLL_MS = 100  # how late a signal may be
_LINGER_MS = 10_000  # how long the last frames may take to consumers
_MALFORMED: tuple[list[bytes], ...] = (
    [b"not JSON", b"data"],
    [b"{}", b"data"],
    [b'{"frame":-1}', b"data"],
    [b"\xff\xfe"],
    [b"[]", b"data"],
)


class Image(NamedTuple):
    """What a frame shows.

    Attributes:
        keys: of its header besides the numbers.
        data: its bytes.
    """

    keys: dict[str, Any]
    data: bytes


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on request; numbers are those of frames.

    Attributes:
        lose: frames that are not sent.
        swap: frames that change places with the next one.
        duplicate: frames that are sent twice.
        restart_after: the numbers begin again after so many frames; 0: never.
        malformed: after so many frames comes a malformed message; 0: never.
    """

    lose: frozenset[int] = frozenset()
    swap: frozenset[int] = frozenset()
    duplicate: frozenset[int] = frozenset()
    restart_after: int = 0
    malformed: int = 0


def sent_numbers(first: int, count: int, faults: Faults) -> Iterator[int]:
    """Yield the numbers of frames in the order in which they are sent.

    >>> list(sent_numbers(0, 6, Faults(frozenset({1}), frozenset({2}), frozenset({5}))))
    [0, 3, 2, 4, 5, 5]

    Args:
        first: the first one.
        count: how many images are taken; 0: without end.
        faults: what goes wrong.
    """
    held: int | None = None
    index = 0
    while not count or index < count:
        number = first + (index % faults.restart_after if faults.restart_after else index)
        index += 1
        if held is None and number in faults.swap and index != count:
            held = number
            continue
        for each in (number,) if held is None else (number, held):
            if each not in faults.lose:
                yield each
                if each in faults.duplicate:
                    yield each
        held = None


def made_up(shape: Sequence[int], dtype: str) -> Iterator[Image]:
    """Yield images of ascending numbers, without end.

    Raises:
        InvalidValue: there is no such shape or type.
    """
    try:
        size = int(np.prod(shape, dtype=np.int64))
        array = (np.arange(size) % 251).astype(dtype).reshape(tuple(shape))
    except (TypeError, ValueError, MemoryError) as error:
        raise InvalidValue(f"no array has the shape {list(shape)} and the type {dtype}: {error}") from error
    image = Image(_keys_of(array), array.tobytes())
    while True:
        yield image


def from_folder(folder: Path) -> Iterator[Image]:
    """Yield the images of a folder again and again: ``.npy`` files, and pairs of a header and data in ``.raw`` files.

    Raises:
        InvalidValue: there is no such file, or one of them cannot be read.
    """
    images = [image for path in sorted(folder.glob("*.npy")) for image in _npy(path)]
    images += [_raw(path) for path in sorted(folder.glob("*_000.raw"))]
    if not images:
        raise InvalidValue(f"{folder} has neither .npy files nor pairs NAME_000.raw (header), NAME_001.raw (data)")
    while True:
        yield from images


def _npy(path: Path) -> list[Image]:
    try:
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InvalidValue(f"{path} is not an .npy file: {error}") from error
    frames = array if array.ndim > 2 else array[np.newaxis]
    return [Image(_keys_of(frame), frame.tobytes()) for frame in frames]


def _raw(path: Path) -> Image:
    data = path.with_name(path.name.removesuffix("_000.raw") + "_001.raw")
    try:
        keys: object = json.loads(path.read_bytes())
        if not isinstance(keys, dict):
            raise ValueError("its header is not a JSON object")
        return Image(cast("dict[str, Any]", keys), data.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidValue(f"{path} and {data.name} are not a frame: {error}") from error


def _keys_of(array: npt.NDArray[Any]) -> dict[str, Any]:
    keys: dict[str, Any] = json.loads(encode_header(0, array, source="rawdaq-device", tags=["0"]))
    return keys


def header(image: Image, number: int, form: HeaderForm, *, is_minimal: bool, now_ns: int) -> bytes:
    """Return the header of *image* as frame *number*."""
    if form is HeaderForm.BINARY:
        return BinaryHeader(number, shape=len(image.data)).encode()
    if is_minimal:
        return b'{"frame":%d}' % number
    attributes = image.keys.get("image_attributes")
    given = cast("dict[str, Any]", attributes) if isinstance(attributes, dict) else {}
    numbered = {"image_is_complete": True, **given, "image_number": number}
    keys = {**image.keys, "frame": number, "image_attributes": numbered, "time_ns": now_ns}
    return json.dumps(keys, separators=(",", ":")).encode()


class Detector:
    """Sends frames from a PUSH or a PUB socket.

    Args:
        address: where it binds, or connects.
        mode: ``push`` or ``pub``.
        connects: whether it connects.
        stop: ends it when set, also from a signal handler.

    Attributes:
        address: once open, with the port that the system chose.
        frames: how many were sent.
        size_bytes: their size.
    """

    def __init__(self, address: str, mode: str, connects: bool, stop: threading.Event) -> None:
        self.address = check_zmq_address(address)
        self.frames = self.size_bytes = 0
        self._is_pub = mode == "pub"
        self._connects = connects
        self._stop = stop
        self._opened = ExitStack()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB if self._is_pub else zmq.PUSH)

    def __enter__(self) -> "Detector":
        """Bind or connect.

        Raises:
            ComponentError: that is impossible.
        """
        set_common_options(self._socket)
        self._socket.setsockopt(zmq.SNDHWM, 16)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # frames wait for consumers that are there
        try:
            self._monitor = self._opened.enter_context(watched(self._socket, self.address, not self._connects))
        except ComponentError:
            self._context.destroy(linger=0)
            raise
        if not self._connects:
            port = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
            self.address = re.sub(r":[*0]$", f":{port}", self.address)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
        self._context.destroy(linger=0 if self._stop.is_set() else _LINGER_MS)

    def wait_for_consumer(self) -> None:
        """Return when a consumer is there, or when the end has come."""
        while not self._stop.is_set() and not self._socket.poll(_POLL_MS, zmq.POLLIN if self._is_pub else zmq.POLLOUT):
            self._monitor.read()

    def send(self, parts: Sequence[bytes]) -> bool:
        """Send a message; return False when the end has come before."""
        self._monitor.read()
        while not self._socket.poll(_POLL_MS, zmq.POLLOUT):
            self._monitor.read()
            if self._stop.is_set():
                return False
        self._socket.send_multipart(parts)
        self.frames += 1
        self.size_bytes += sum(map(len, parts))
        return not self._stop.is_set()

    def play(
        self,
        numbers: Iterable[int],
        images: Iterator[Image],
        make_header: Callable[[Image, int], bytes],
        rate_hz: float | None,
        malformed: int = 0,
    ) -> None:
        """Send a frame for each of *numbers*, *rate_hz* a second, or as fast as they are taken."""
        began_ns = time.monotonic_ns()
        for count, number in enumerate(numbers):
            if rate_hz is not None:
                late_ns = time.monotonic_ns() - began_ns - round(count * NS_PER_S / rate_hz)
                if late_ns < 0 and self._stop.wait(-late_ns / NS_PER_S):
                    return
            image = next(images)
            if not self.send([make_header(image, number), image.data]):
                return
            if malformed and (count + 1) % malformed == 0:
                self.send(_MALFORMED[count // malformed % len(_MALFORMED)])
                self.frames -= 1
