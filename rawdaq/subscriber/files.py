"""Files read like a live stream: what `rawdaq.subscriber.live.Subscriber.from_files` gives."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rawdaq.errors import RawdaqError
from rawdaq.packet import Packet
from rawdaq.replay.merge import Merge
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Problems, find_files, open_source
from rawdaq.stream_id import check_patterns
from rawdaq.subscriber.live import Subscriber


class NothingToRead(RawdaqError):
    """None of the files holds waveforms; the log names each with the reason."""


class FileSubscriber(Subscriber):
    """Reads files as `Subscriber` reads publishers: as fast as its reader takes the packets, in order of time.

    A packet has the sequence number that a component would give it, and was never received (``received_ns`` is 0). The
    iteration ends at the end of the files.

    Args:
        files: files, folders (with all that is below them) and patterns such as ``day/**/*.mseed``.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
        rename: new names by pattern, as the option ``rename`` of ``FileReplayer`` has them.
        packet_s: the length of a packet; 0 leaves records and traces as the files have them.
        is_strict: raise at the first file, or piece of one, that is not what it says, instead of skipping it.
        logger: where what is skipped is told.

    Attributes:
        problems: what is wrong with the files.
        paths: the files that are read, known once it is open.

    Raises:
        InvalidValue: no file is named, a new name cannot be one, or a pattern can name no stream.
    """

    def __init__(
        self,
        files: str | Path | Iterable[str | Path],
        streams: str | Iterable[str] = (),
        *,
        rename: Mapping[str, str] | None = None,
        packet_s: float = 0.0,
        is_strict: bool = False,
        logger: logging.Logger | None = None,
    ) -> None:
        names = [files] if isinstance(files, str | Path) else list(files)
        super().__init__(map(str, names), streams, logger=logger)
        if not rename:
            check_patterns(self.streams)
        self.problems = Problems(lambda text: self._log.warning("%s", text), is_strict)
        self.paths: list[Path] = []
        self._names = StreamNames(self.streams, rename)
        self._packet_s = packet_s
        self._packets: Iterator[Packet] | None = None

    @property
    def is_live(self) -> bool:
        """False: these packets are of the past."""
        return False

    @property
    def passed_over(self) -> list[str]:
        """Names, in the files, of streams that no pattern names."""
        return sorted(self._names.passed_over)

    def open(self) -> None:
        """Find the files and look at each; a second time does nothing.

        Raises:
            NothingToRead: none of them can be read.
            FileRefused: one is not what it says, and that was not to be passed over.
        """
        if self._packets is not None or self._is_closed:
            return
        paths = find_files(self.addresses, self.problems)
        opened = (open_source(path, self._names, self.problems) for path in paths)
        sources = [source for source in opened if source is not None]
        if not sources:
            raise NothingToRead(f"no waveforms to read in {', '.join(self.addresses)}")
        self.paths = [source.path for source in sources]
        self._packets = Merge(sources, self._packet_s)

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """Return the next packet, or None at the end of the files or when the subscriber was closed.

        Raises:
            NothingToRead: there are no files (on opening).
            FileRefused: one is not what it says, and that was not to be passed over.
        """
        self._begin()
        try:
            self.open()
            packet = None if self._is_closed or self._packets is None else next(self._packets, None)
            if packet is None:
                self.has_ended = True
                return None
            self.size_bytes += packet.samples.nbytes
            numbered = packet.numbered(self.received[packet.stream])
            self.received[packet.stream] += 1
            return numbered
        finally:
            self._end()

    async def areceive(self, timeout_s: float | None = None) -> Packet | None:
        """Do the same as `receive` while the event loop runs on."""
        return await asyncio.to_thread(self.receive)
