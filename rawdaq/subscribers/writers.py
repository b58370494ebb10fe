"""`WriterSubscriber` and `AsyncWriterSubscriber`: what a subscriber gets, in files that follow each other."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from rawdaq.disk.file_names import FileNames
from rawdaq.disk.remedies import describe_write
from rawdaq.disk.rotation import Rotation, RotationLimits, create_held, recover_as_it_is
from rawdaq.disk.threads import DiskThread
from rawdaq.errors import ComponentError, InvalidValue, RawdaqError
from rawdaq.outage import Outage
from rawdaq.subscribers.aio import AsyncSubscriber, loop_of_this_thread
from rawdaq.subscribers.basic import BasicSubscriber

_MIB: Final = 1 << 20
_RETRY_S: Final = 1.0
_REMIND_S: Final = 600.0
_BATCH: Final = 1000  # objects that are written with one call of a thread


class Writer(Protocol):
    """What writes the objects of one file."""

    def write(self, data: Any) -> object:
        """Write an object."""

    def close(self) -> object:
        """Finish the file."""


class _WriterFile:
    """A file that a program's own writer writes.

    Args:
        path: the file.
        writer: makes the writer of a file of this name.

    Attributes:
        path: as the argument.
    """

    def __init__(self, path: Path, writer: Callable[[str], Writer]) -> None:
        self.path = path
        self._fd = create_held(path)
        self._written_bytes = 0
        self._is_finished = False
        try:
            self._writer = writer(str(path))
        except BaseException:
            os.close(self._fd)
            path.unlink(missing_ok=True)
            raise

    @property
    def size_bytes(self) -> int:
        """Its size on the disk, or of what was written, whichever is more: a writer may keep some of it."""
        return max(os.fstat(self._fd).st_size if self._fd >= 0 else 0, self._written_bytes)

    def write(self, data: Any, size_bytes: int) -> None:
        """Write an object.

        Raises:
            OSError: the disk does not take it.
        """
        self._writer.write(data)
        self._written_bytes += size_bytes

    def is_in_place(self) -> bool:
        """Return whether its path still leads to it."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def sync(self) -> None:
        """Make safe what the writer has written."""
        os.fsync(self._fd)

    def finish(self) -> None:
        """Let the writer finish it, and make all of it safe."""
        if not self._is_finished:
            self._writer.close()
            self._is_finished = True
        if self._fd >= 0:
            os.fsync(self._fd)
            self.close()

    def close(self) -> None:
        """Hold it no longer."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class FileWriter:
    """What both writers share: files, and objects that wait until the disk takes them."""

    def __init__(
        self,
        file_prefix: str,
        writer: Callable[[str], Writer],
        file_ext: str,
        name: str,
        folder: str | Path,
        file_enumerator: str | None,
        filesize_lim: float | None,
    ) -> None:
        self.log = logging.getLogger("rawdaq.subscribers").getChild(name)
        names = FileNames(Path(folder), file_prefix, file_enumerator, file_ext)
        if names.is_single and filesize_lim:
            raise InvalidValue("filesize_lim begins new files: give file_enumerator, `date` or `order`")
        self.data_counter = 0
        self._unwritten: list[Any] = []
        self._error: str | None = None
        self._outage = Outage(self.log, _REMIND_S)
        self._files: Rotation[_WriterFile] = Rotation(
            names,
            RotationLimits(int(filesize_lim * _MIB) if filesize_lim else None),
            lambda part: _WriterFile(part, writer),
            recover_as_it_is,
            self.log,
        )

    @property
    def file_counter(self) -> int:
        """How many files were begun."""
        return self._files.finished + self._files.waiting + (self._files.current is not None)

    @property
    def filename(self) -> str | None:
        """The file that is written, or was written last; None before the first."""
        file = self._files.last if self._files.current is None else self._files.current.path
        return None if file is None else str(file)

    def data_cond(self, data: Any) -> bool:
        """Return whether *data* begins a new file; a subclass decides. By default it does not."""
        return False

    def write(self, data: Any) -> None:
        """Write an object into the current file, or into a new one.

        Raises:
            OSError: the disk does not take it.
            ComponentError: there is no file for it.
        """
        size_bytes = _size(data)
        self._files.file_for(size_bytes, begins_new=self.data_cond(data)).write(data, size_bytes)
        self._files.note(1)
        self.data_counter += 1

    def _write_some(self, objects: Sequence[Any]) -> None:
        """Write *objects*, those before them first; what the disk does not take waits."""
        self._unwritten += objects
        done = 0
        try:
            for data in self._unwritten:
                self.write(data)
                done += 1
        except (OSError, RawdaqError) as error:
            self._error = describe_write(error, self.filename) if isinstance(error, OSError) else str(error)
            if self._outage.is_due:
                self._outage.log("nothing is written: %s; it is kept, and tried again", self._error)
        else:
            self._error = None
            self._outage.clear()
        finally:
            del self._unwritten[:done]

    def _lost(self, rest: int) -> ComponentError | None:
        """Return the error that says what was not written at the end; None: all of it was."""
        count = len(self._unwritten) + rest
        return ComponentError(f"{count} objects were not written: {self._error}") if count else None


def _size(data: Any) -> int:
    """Return how many bytes an object has, where that can be seen; 0 elsewhere."""
    if isinstance(data, bytes | bytearray):
        return len(data)
    if not isinstance(data, list):
        return 0
    parts: list[Any] = data  # pyright: ignore[reportUnknownVariableType]
    return sum([_size(part) for part in parts])


class WriterSubscriber(threading.Thread, FileWriter):
    """Writes what a subscriber gets into files, in a thread, as ssdaq's does.

    No file is ever written over, and none is incomplete: see ``docs/decisions/file-rotation.md``. What the disk does
    not take is kept and tried again.

    Args:
        file_prefix: what the names of files begin with.
        ip: address of the publisher.
        port: its port.
        subscriber: makes the subscriber: `BasicSubscriber`, or what has its constructor.
        writer: makes the writer of a file of this name, which has `write(data)` and `close()`.
        file_ext: what the names of files end with.
        name: how log lines call it.
        folder: where the files are; it is created.
        file_enumerator: ``date``, ``order``, a pattern of ``strftime``, or None for a single file.
        filesize_lim: a new file begins with the object by which this one would become larger than so many MiB.

    Attributes:
        data_counter: objects that were written.
        file_counter: files that were begun.
        filename: the file that is written, or was written last.

    Raises:
        InvalidValue: the names cannot be.
    """

    def __init__(
        self,
        file_prefix: str,
        ip: str,
        port: int,
        subscriber: Callable[..., BasicSubscriber],
        writer: Callable[[str], Writer],
        file_ext: str,
        name: str,
        folder: str | Path = "",
        file_enumerator: str | None = None,
        filesize_lim: float | None = None,
    ) -> None:
        threading.Thread.__init__(self, name=name, daemon=True)
        FileWriter.__init__(self, file_prefix, writer, file_ext, name, folder, file_enumerator, filesize_lim)
        self._subscriber = subscriber(ip=ip, port=port, logger=self.log.getChild("Subscriber"))
        self._closing = threading.Event()
        self._rest = 0

    def start(self) -> None:
        """Make the folder, repair what a crash has left in it, and begin.

        Raises:
            InvalidValue: ip and port are no address.
            ComponentError: the port cannot be bound, or the only name that a file can have is taken.
            OSError: the folder cannot be written.
        """
        self._files.open()
        self._subscriber.start()
        super().start()

    def run(self) -> None:
        """Write until `close` is called."""
        try:
            while (data := self._subscriber.get_data()) is not None:
                self._write_some([data])
                while self._error and not self._closing.wait(_RETRY_S):
                    self._write_some([])
                if self._error:
                    self._write_some([])
                if self._error:  # the end has come, and the disk still refuses it
                    self._rest = _count_rest(self._subscriber)
                    break
        finally:
            self._files.close()

    def close(self, hard: bool = False, non_block: bool = False) -> None:
        """Write no more; return when all files are finished.

        Args:
            hard: without what waits.
            non_block: do not wait for that.

        Raises:
            ComponentError: some objects could not be written.
        """
        self._subscriber.close(hard=hard)
        self._closing.set()
        if non_block or not self.is_alive() or threading.current_thread() is self:
            return
        self.join()
        if (lost := self._lost(self._rest)) is not None:
            self._unwritten, self._rest = [], 0
            raise lost


def _count_rest(subscriber: BasicSubscriber) -> int:
    """Return how many objects still come of a closed subscriber."""
    count = 0
    while subscriber.get_data() is not None:
        count += 1
    return count


class AsyncWriterSubscriber(FileWriter):
    """Writes what a subscriber gets into files, beside an event loop, as ssdaq's does; it starts itself.

    No file is ever written over, and none is incomplete: see ``docs/decisions/file-rotation.md``. A thread writes, so
    that a slow disk does not stop the loop. What the disk does not take is kept and tried again.

    Args:
        file_prefix: what the names of files begin with.
        ip: address of the publisher.
        port: its port.
        subscriber: makes the subscriber: `AsyncSubscriber`, or what has its constructor.
        writer: makes the writer of a file of this name, which has `write(data)` and `close()`.
        file_ext: what the names of files end with.
        name: how log lines call it.
        folder: where the files are; it is created.
        file_enumerator: ``date``, ``order``, a pattern of ``strftime``, or None for a single file.
        filesize_lim: a new file begins with the object by which this one would become larger than so many MiB.
        loop: the event loop; by default the running one.

    Attributes:
        data_counter: objects that were written.
        file_counter: files that were begun.
        filename: the file that is written, or was written last.
        loop: the event loop.

    Raises:
        InvalidValue: the names or the address cannot be.
        ComponentError: the port cannot be bound, or the only name that a file can have is taken.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        file_prefix: str,
        ip: str,
        port: int,
        subscriber: Callable[..., AsyncSubscriber],
        writer: Callable[[str], Writer],
        file_ext: str,
        name: str,
        folder: str | Path = "",
        file_enumerator: str | None = None,
        filesize_lim: float | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        FileWriter.__init__(self, file_prefix, writer, file_ext, name, folder, file_enumerator, filesize_lim)
        self.loop = loop or loop_of_this_thread()
        self._files.open()
        self._subscriber = subscriber(ip=ip, port=port, loop=self.loop, logger=self.log, name="Subscriber")
        self._closing = asyncio.Event()
        self._task = self.loop.create_task(self._run())

    async def _run(self) -> None:
        thread = DiskThread(f"writing {self.log.name}", self.loop)
        try:
            is_over = False
            while not is_over:
                batch = [await self._subscriber.get_data()]
                while batch[-1] is not None and len(batch) < _BATCH and not self._subscriber.empty():
                    batch.append(await self._subscriber.get_data())
                is_over = batch[-1] is None
                await thread.submit(self._write_some, batch[:-1] if is_over else batch)
                while self._error and not await self._is_closing():
                    await thread.submit(self._write_some, ())
                if self._error:
                    await thread.submit(self._write_some, ())
                if self._error and not is_over:  # the end has come, and the disk still refuses it
                    while (data := await self._subscriber.get_data()) is not None:
                        self._unwritten.append(data)
                    is_over = True
        finally:
            closed = thread.submit(self._files.close)
            thread.give_back()
            await closed

    async def _is_closing(self) -> bool:
        """Return whether `close` was called, after a pause or as soon as it is."""
        try:
            async with asyncio.timeout(_RETRY_S):
                return await self._closing.wait()
        except TimeoutError:
            return False

    async def close(self, hard: bool = False) -> None:
        """Write no more; return when all files are finished.

        Args:
            hard: without what waits.

        Raises:
            ComponentError: some objects could not be written.
        """
        await self._subscriber.close(hard=hard)
        self._closing.set()
        await asyncio.wait([self._task])
        self._task.result()
        if (lost := self._lost(0)) is not None:
            self._unwritten = []
            raise lost
