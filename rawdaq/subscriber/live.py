"""The Python way to read a live stream: an iterator, and an async iterator, of packets.

::

    with Subscriber("tcp://127.0.0.1:9004", ["XX.*.*.HH?"]) as subscriber:
        for packet in subscriber:
            print(packet.stream, packet.samples.mean())

Files are read in the same way: ``Subscriber.from_files("day/*.mseed")``.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rawdaq.packet import Packet
from rawdaq.stream_id import check_patterns, prefixes
from rawdaq.subscriber.connections import DEFAULT_ADDRESS, LiveReader
from rawdaq.subscriber.messages import LiveMessages, Loss
from rawdaq.subscriber.reader import PacketReader


class Subscriber(PacketReader, LiveReader[Packet]):
    """Reads the packets of one or more publishers.

    Publishers may come and go, the connection comes back by itself. How it is iterated and closed, and its other
    counters, stand at `PacketReader`.

    Args:
        addresses: one or more addresses of publishers, like ``tcp://127.0.0.1:9004``.
        streams: shell-style patterns of ``NET.STA.LOC.CHA``, like ``XX.*.*.HH?``; none means all streams.
        timeout_s: an iteration ends when no packet came for so long; None waits until `close`.
        high_water_mark: messages that may wait here before the publisher keeps (and later drops) them.
        on_loss: called for every jump in a stream's numbering, before the packet that came after it.
        logger: where malformed messages are logged.

    Attributes:
        lost: messages that a jump in the numbering shows to be missing, by stream.
        cuts: how often we cut the connection to a publisher, for a message that is too large or breaks ZMQ's rules.

    Raises:
        InvalidValue: no address, one that ZMQ does not understand (on opening), or a pattern that can name no stream.
    """

    is_live = True

    def __init__(
        self,
        addresses: str | Iterable[str] = DEFAULT_ADDRESS,
        streams: str | Iterable[str] = (),
        *,
        timeout_s: float | None = None,
        high_water_mark: int = 10_000,
        on_loss: Callable[[Loss], None] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        PacketReader.__init__(self, streams, timeout_s, logger)
        self._prepare(addresses, high_water_mark)
        check_patterns(self.streams)
        self._messages = LiveMessages(self.streams, self._log, on_loss, self.refusals)
        self.lost = self._messages.lost

    @staticmethod
    def from_files(
        files: str | Path | Iterable[str | Path],
        streams: str | Iterable[str] = (),
        *,
        rename: Mapping[str, str] | None = None,
        packet_s: float = 0.0,
        is_strict: bool = False,
        logger: logging.Logger | None = None,
    ) -> PacketReader:
        """Return a reader of waveform files, of any kind that ObsPy knows, in order of time.

        Args:
            files: files, folders (with all that is below them) and patterns such as ``day/**/*.mseed``.
            streams: shell-style patterns of ``NET.STA.LOC.CHA``; none means all streams.
            rename: new names by pattern of the file's name, such as ``{"IU.COLA.*.*": "XX.TEST.*.*"}``.
            packet_s: the length of a packet; 0 leaves records and traces as the files have them.
            is_strict: raise at the first invalid file, or piece of one, instead of skipping it.
            logger: where what is skipped is logged.

        Raises:
            InvalidValue: no file is named, a new name is invalid, or a pattern can name no stream.
        """
        from rawdaq.subscriber.files import FileSubscriber  # loaded when it is used: it reads every waveform format

        return FileSubscriber(files, streams, rename=rename, packet_s=packet_s, is_strict=is_strict, logger=logger)

    @property
    def passed_over(self) -> list[str]:
        """Names of streams that came though no pattern selects them; they only begin as a pattern does."""
        return self._messages.passed_over

    def _topics(self) -> Sequence[bytes]:
        return prefixes(self.streams)

    def _read(self, address: str, frames: list[bytes]) -> Packet | None:
        packet = self._messages.packet(address, frames)
        if packet is not None:
            self.received[packet.stream] += 1
        return packet
