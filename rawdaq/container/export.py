"""What is in a container for other programs: as JSON, and as bytes in the files of ssdaq."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rawdaq.container.errors import NotContainer
from rawdaq.container.format.layout import FILE_MAGIC
from rawdaq.container.format.objects import Item
from rawdaq.container.format.sof import MAGIC as SOF_MAGIC
from rawdaq.container.reader import ContainerReader
from rawdaq.container.sequence import Stored
from rawdaq.container.sof import SofReader
from rawdaq.messages.message import Message
from rawdaq.multipart import Multipart
from rawdaq.packet import Packet
from rawdaq.protocols.message import header, sample_bytes
from rawdaq.times import to_iso

_OLD_SUFFIXES: Final = (".sof", ".icf", ".prt")  # version 0 has no magic


def open_container(path: str | Path) -> ContainerReader | SofReader:
    """Return a reader of *path*, a container file of rawdaq or of ssdaq.

    Raises:
        NotContainer: it is neither.
        ContainerError: it is, and cannot be read.
        OSError: it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        begin = file.read(len(FILE_MAGIC))
    if begin.startswith(SOF_MAGIC) or (begin != FILE_MAGIC and path.suffix.lower() in _OLD_SUFFIXES):
        return SofReader(path)
    try:
        return ContainerReader(path)
    except NotContainer as error:
        raise NotContainer(f"{path} is no container file: {error}") from None


def as_json(stored: Stored[Any]) -> dict[str, Any]:
    """Return an object with its number and time as JSON can say it; bytes are text where that is UTF-8, else base64."""
    time = {} if stored.time_ns is None else {"time_ns": stored.time_ns, "time": to_iso(stored.time_ns, 9)}
    return {"number": stored.number, **time, **_fields(stored.item)}


def _fields(item: Item) -> dict[str, Any]:
    if isinstance(item, Packet):
        marks = {} if item.marks is None else {"marks": list(item.marks)}
        return {"kind": "packet", "header": header(item) | marks, "samples": item.samples.tolist()}
    if isinstance(item, Message):
        payload = {"payload": _text(bytes(item.payload))} if len(item.payload) else {}
        return {"kind": item.kind.value, "topic": item.topic, "header": dict(item.header), **payload}
    if isinstance(item, Multipart):
        return {"kind": "frame", "frame": item.frame, "parts": [_text(bytes(part)) for part in item.parts]}
    return {"kind": "bytes", "payload": _text(item)}


def _text(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def as_bytes(item: Item) -> bytes:
    """Return what a file of ssdaq holds of *item*: the bytes that the instrument has sent, where there are any."""
    if isinstance(item, Packet):
        return bytes(sample_bytes(item.samples))
    if isinstance(item, Message):
        return bytes(item.payload) if len(item.payload) else item.head
    return b"".join(item.parts) if isinstance(item, Multipart) else item


def write_json_lines(path: Path, reader: ContainerReader | SofReader) -> int:
    """Write a new file with one JSON object a line; return how many it has.

    Raises:
        FileExistsError: there is such a file.
        OSError: it cannot be written.
    """
    count = 0
    with path.open("x", encoding="utf-8") as file:
        for line in json_lines(reader):
            file.write(line + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def json_lines(reader: ContainerReader | SofReader, start: int = 0) -> Iterator[str]:
    """Yield the objects from the index *start* on, each as one line of JSON; what is damaged is passed over."""
    for stored in reader.walk(start):
        yield json.dumps(as_json(stored), ensure_ascii=False, separators=(",", ":"))
