"""JsonLinesPublisher: JSON packets of a DataLink server as files with one JSON value a line."""

import asyncio
import base64
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from rawdaq.disk.mounts import check_mounted
from rawdaq.disk.remedies import describe, describe_write
from rawdaq.disk.threads import DiskThread, disk_thread, in_new_thread
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.messages.message import Message
from rawdaq.packet import Packet
from rawdaq.protocols.datalink import DataPacket, PayloadType, payload_type, read_envelope
from rawdaq.protocols.datalink.errors import EnvelopeUnreadable
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.publishers.jsonl.files import LineFiles
from rawdaq.publishers.jsonl.layout import JsonLinesLayout
from rawdaq.publishers.jsonl.progress import Place, Progress

_TYPES: Final = (PayloadType.JSON, PayloadType.BZJSON)
_BAD: Final = ".bad"  # is appended to the name of a file for what cannot be a line of it


class JsonLinesPublisher(Publisher):
    """Appends the JSON packets that a `DataLinkReceiver` (with ``other: json``) publishes to files, one a line.

    It takes the place of dali2jsonl, and its files are the same line by line. A payload of several lines becomes one;
    one that is no JSON goes, with its name and times, to a file beside the other whose name ends in ``.bad``. Whole
    lines only: what a crash tore off is taken away, and comes again. Each packet is in the files once, also after
    ``kill -9``. The messages of any receiver (events, logs, telemetry and others) are lines too: their headers, with
    the payload, where there is one, as ``payload_base64``.

    Args:
        write: pattern of the files' path names. ``%n``, ``%s``, ``%l`` and ``%c`` are network, station, location and
            channel; ``%Y``, ``%j``, ``%H``, ``%M`` and ``%S`` year, day of year, hour, minute and second, UTC. Of
            messages ``%n`` and ``%s`` are those of the topic, ``%l`` is the component and ``%c`` the kind.
        bandwrite: patterns of their own for some band codes, or the letter of another band.
        folder: what relative patterns start from.
        state: the file that knows what is in the files.
        max_open_files: how many files stay open; those that are not written for a minute are closed.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    takes_messages = True
    gather_bytes = 1_000_000
    gather_s = 0.05

    def __init__(
        self,
        write: str,
        bandwrite: dict[str, str] = {},  # noqa: B006 - it is never changed
        folder: Path = Path("."),
        state: Path = Path("jsonl-state.json"),
        max_open_files: Annotated[int, Field(ge=1, le=100_000)] = 50,
        name: str = "JsonLinesPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(name, logger)
        self._layout = JsonLinesLayout(write, bandwrite)
        self._folder = folder
        self._state_file = state
        self._progress = Progress(state)
        self._files = LineFiles(max_open_files, self._set_aside)
        self._thread: DiskThread | None = None
        self._before: Place | None = None  # what is in the files already, of packets that come again
        self._counts: Counter[str] = Counter()

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a pattern; None when all is well."""
        try:
            JsonLinesLayout(options["write"], options["bandwrite"])
        except InvalidValue as error:
            return str(error)
        return None

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the file of the state, which only one publisher can write."""
        return f"file {options['state']}"

    async def open(self) -> None:
        """Take out of the files what a crash left there of a batch that was not finished.

        Raises:
            ComponentError: the state cannot be read or written.
        """
        try:
            device = await in_new_thread(f"opening {self.name}", self._open)
        except (OSError, ValueError) as error:
            reason = describe(error) if isinstance(error, OSError) else f"{error}; repair it"
            remedy = "or remove it: packets that come again are then written again"
            raise ComponentError(f"cannot use the state in {self._state_file}: {reason}, {remedy}") from error
        self._thread = disk_thread(device)

    def _open(self) -> int:
        for folder in (self._folder, self._state_file.parent):
            check_mounted(folder)
        self._files.cut(self._progress.open())
        self._before = self._progress.last
        return os.stat(self._state_file.parent).st_dev

    async def deliver(self, batch: Sequence[Packet | Message | bytes]) -> None:
        """Append the lines of *batch*, all of them or none.

        Raises:
            PublisherUnavailable: a disk does not take them now.
        """
        if self._thread is None:
            raise ComponentError(f"{self.name} is not open")
        await self._thread.submit(self._write, batch)

    # What follows runs in the thread of the disk.

    def _write(self, batch: Sequence[Packet | Message | bytes]) -> None:
        lines: dict[Path, list[bytes]] = {}
        last = None
        counts = self._counts.copy()
        for item in batch:
            if isinstance(item, Message):
                self._add_message(item, lines)
                continue
            packet = self._packet(item)
            if packet is not None and not self._is_there(packet):
                last = Place(packet.packet_id, packet.packet_time_ns)
                self._add(packet, lines)
        try:
            if lines:
                self._append({path: b"".join(some) for path, some in lines.items()}, last)
        except OSError as error:
            self._counts = counts
            raise PublisherUnavailable(describe_write(error, error.filename or self._folder)) from error
        self._files.close_idle()

    def _packet(self, item: Packet | bytes) -> DataPacket | None:
        """Return the packet in *item*; None when there is none."""
        try:
            if isinstance(item, bytes):
                return read_envelope(item)
            reason = "it holds samples"
        except EnvelopeUnreadable as error:
            reason = str(error)
        if not self._counts["refused"]:
            self.log.error("not written as a line, counted as refused: %s; is it a DataLinkReceiver's?", reason)
        self._counts["refused"] += 1
        return None

    def _is_there(self, packet: DataPacket) -> bool:
        """Whether *packet* is in the files since before the start; the first new one ends that."""
        before = self._before
        if before is None:
            return False
        if packet.packet_id <= before.packet_id and packet.packet_time_ns <= before.packet_time_ns:
            self._counts["again"] += 1
            return True
        self._before = None
        return False

    def _add(self, packet: DataPacket, lines: dict[Path, list[bytes]]) -> None:
        name = self._layout.path(packet) if payload_type(packet.stream_id) in _TYPES else None
        if name is None:
            self._counts["skipped"] += 1
            return
        path, line = self._folder / name, _line(packet.data)
        if line is None:
            self._counts["bad"] += 1
            lines.setdefault(path.with_name(path.name + _BAD), []).append(_described(packet))
        else:
            self._counts["lines"] += 1
            lines.setdefault(path, []).append(line)

    def _add_message(self, message: Message, lines: dict[Path, list[bytes]]) -> None:
        name = self._layout.message_path(message)
        if name is None:
            self._counts["skipped"] += 1
            return
        self._counts["lines"] += 1
        lines.setdefault(self._folder / name, []).append(_message_line(message))

    def _append(self, data: Mapping[Path, bytes], last: Place | None) -> None:
        """Append *data* to their files, a part of the files at a time, as so many may be open."""
        sizes = self._files.sizes(data)
        self._progress.begin(sizes)
        try:
            for path, some in data.items():
                self._files.append(path, some)
        except OSError:
            self._files.cut(sizes)
            self._progress.end(None)
            raise
        self._progress.end(last)

    def _set_aside(self, path: Path, torn: bytes) -> None:
        """Keep a torn line of *path* beside it, where it harms no reader."""
        self.log.warning(
            "%s did not end with a whole line: its last %d bytes are in %s%s", path, len(torn), path.name, _BAD
        )
        text = torn.decode("utf-8", "backslashreplace")
        with path.with_name(path.name + _BAD).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"torn": text}) + "\n")

    # What follows runs in the event loop again.

    async def aclose(self) -> None:
        """Close all files."""
        await super().aclose()
        thread, self._thread = self._thread, None
        if thread is not None:
            closing: asyncio.Future[None] = thread.submit(self._close)
            thread.give_back()
            await closing

    def _close(self) -> None:
        self._files.close()
        self._progress.close()

    def status(self) -> dict[str, object]:
        """Return what `status` shows besides the queue's counters."""
        return {
            "path": str(self._folder),
            **{name: self._counts[name] for name in ("lines", "bad", "again", "skipped", "refused")},
            "written_bytes": self._files.written_bytes,
            "open_files": len(self._files),
        }


def _line(data: bytes) -> bytes | None:
    """Return *data*, JSON, as one line; None when they are no JSON."""
    try:
        value = json.loads(data)
        if b"\n" not in data and b"\r" not in data:
            return data + b"\n"
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except (ValueError, RecursionError):
        return None


def _message_line(message: Message) -> bytes:
    """Return header and payload of *message* as one line."""
    if not len(message.payload):
        return message.head + b"\n"
    payload = base64.b64encode(message.payload)
    return message.head[:-1] + b',"payload_base64":"' + payload + b'"}\n'


def _described(packet: DataPacket) -> bytes:
    """Return a line that says what *packet* is and what it holds."""
    fields = dict(
        zip(("stream_id", "packet_id", "packet_time_ns", "start_ns", "end_ns"), packet.fields(), strict=False)
    )
    return json.dumps(fields | {"data": packet.data.decode("utf-8", "backslashreplace")}).encode() + b"\n"
