"""Files read like a live stream: what `rawdaq.subscriber.live.Subscriber.from_files` gives."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.packet import Packet
from rawdaq.replay.merge import Merge
from rawdaq.replay.names import StreamNames
from rawdaq.replay.sources import Problems, find_files, open_source
from rawdaq.stream_id import check_patterns
from rawdaq.subscriber.reader import PacketReader


class NothingToRead(RawdaqError):
    """None of the files holds waveforms; the log names each with the reason."""


class FileSubscriber(PacketReader):
    """Reads files as a subscriber reads publishers: as fast as its reader takes the packets, in order of time.

    A packet has the sequence number that a component would give it, and was never received (``received_ns`` is 0). The
    iteration ends at the end of the files.

    Its arguments, and what it raises, are those of `Subscriber.from_files`.

    Attributes:
        problems: what is wrong with the files.
        paths: the files that are read, known once it is open.
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
        super().__init__(streams, None, logger)
        self._files = [str(name) for name in ([files] if isinstance(files, str | Path) else files)]
        if not self._files:
            raise InvalidValue("at least one file, folder or pattern is needed, such as day/*.mseed")
        if not rename:  # files may name streams as no stream is called here
            check_patterns(self.streams)
        self.problems = Problems(lambda text: self._log.warning("%s", text), is_strict)
        self.paths: list[Path] = []
        self._names = StreamNames(self.streams, rename)
        self._packet_s = packet_s
        self._packets: Iterator[Packet] | None = None

    @property
    def passed_over(self) -> list[str]:
        """Names, in the files, of streams that no pattern selects."""
        return sorted(self._names.passed_over)

    def open(self) -> None:
        """Find the files and look at each; a second time does nothing.

        Raises:
            NothingToRead: none of them can be read.
            FileRefused: one is invalid, and `is_strict` was set.
        """
        if self._packets is not None or self._is_closed:
            return
        paths = find_files(self._files, self.problems)
        opened = (open_source(path, self._names, self.problems) for path in paths)
        sources = [source for source in opened if source is not None]
        if not sources:
            raise NothingToRead(f"no waveforms to read in {', '.join(self._files)}")
        self.paths = [source.path for source in sources]
        self._packets = (item for item in Merge(sources, self._packet_s) if isinstance(item, Packet))

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """Return the next packet, or None at the end of the files or when the subscriber was closed.

        Raises:
            NothingToRead: there are no files (on opening).
            FileRefused: one is invalid, and `is_strict` was set.
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
