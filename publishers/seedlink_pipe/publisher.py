"""SeedLinkPluginPublisher: samples or records to the SeedLink server that started this program."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.delivery.items import count_of
from rawdaq.errors import ComponentError, LocalProtocolError
from rawdaq.miniseed.format import Encoding, RecordFormat, RecordRun, why_not
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.plugin_pipe.writer import ATOMIC_BYTES, MSEED_BYTES, PipeWriter, frame_records
from rawdaq.publisher import Publisher, PublisherUnavailable
from rawdaq.publishers.seedlink_pipe.pipe_end import PipeEnd
from rawdaq.seedlink_plugin import PLUGIN_FD, PipeClosed
from rawdaq.stream_id import StreamId
from rawdaq.times import NS_PER_S

#: What is written together, as far as the pipe takes it: Linux gives a pipe 64 KB.
_TOGETHER_BYTES = 1 << 16

_DEFAULT_FLUSH_S = 1.0
_RETRY_FLUSH_S = 0.1  # when a full pipe leaves no room for flush frames, or not even for the samples before them
_CODES = ("network", "station", "location", "channel")
_EXAMPLE = StreamId("XX", "DEMO", "00", "HHZ")

Item = TypeVar("Item", Packet | bytes, RecordRun)


def _pattern(text: str) -> str:
    """Return *text*; refuse what makes no identifier of a stream's codes."""
    try:
        if not _filled(text, _EXAMPLE):
            raise ValueError("it is empty")
    except (KeyError, IndexError, ValueError, AttributeError):
        fields = ", ".join(f"{{{code}}}" for code in _CODES)
        raise ValueError(f"{text!r} is no pattern; it is made of text and {fields}") from None
    return text


def _filled(pattern: str, stream: StreamId) -> str:
    return pattern.format(**{code: getattr(stream, code) for code in _CODES})


def _why_no_key(key: tuple[str, str]) -> str | None:
    """Return why a frame cannot name this station and channel, None when it can."""
    try:
        PipeWriter().send_flush(*key)
    except LocalProtocolError as error:
        return str(error)
    return None


class _Expected(NamedTuple):
    """What follows a packet without a gap."""

    start_ns: int
    rate_hz: float

    def is_met_by(self, packet: Packet) -> bool:
        """Whether *packet* is where its sample belongs, to half a sample interval."""
        late_ns = abs(packet.start_ns - self.start_ns)
        return packet.rate_hz == self.rate_hz and late_ns * self.rate_hz <= NS_PER_S / 2


class _Frames(NamedTuple):
    """So many frames hold so many packets or records."""

    frames: int
    items: int


def _items(frames: Sequence[_Frames], written: int) -> int:
    """Return how many packets or records are in the first *written* of *frames* as a whole."""
    items = 0
    for each in frames:
        if written < each.frames:  # of records some may be in it, because each has a frame of its own
            return items + (written if each.frames == each.items else 0)
        written -= each.frames
        items += each.items
    return items


class SeedLinkPluginPublisher(Publisher):
    """Hands miniSEED records, or raw integer samples, to the SeedLink server of SeisComP as a plugin of it.

    A full pipe holds back the receiver; nothing is lost, and no frame is ever torn. When the server closes the pipe
    the component ends with an error, so that the server starts the plugin again. Several components of one process may
    write to one pipe.

    A named pipe is for other programs: while it has no reader the publisher is paused.

    Behind a journal it goes on after a crash where it was, at most one record of each stream too early: SeedLink has no
    acknowledgement, so what the pipe has taken counts as delivered, and records are cut elsewhere the second time.

    Args:
        mode: ``mseed``: records of 512 bytes, made here. ``raw``: int32 samples for a stream processor (``proc``) of
            the server, which filters and encodes; packets of floats are refused and counted.
        fd: the descriptor of the pipe, which the program must have inherited.
        pipe: a named pipe, instead.
        encoding: of the records (mode ``mseed``); ``auto`` is STEIM2 for integers and the samples' own for others.
        flush_after_s: how long a sample waits at most for its record to fill; by default 1 s in mode ``mseed``. In
            mode ``raw`` the server is asked to give out what it has so often; by default it never is, because that
            leaves the records of decimated streams nearly empty.
        flush_each_packet: for early warning: no sample waits for another packet.
        station_key: what the server calls the station, of ``{network}``, ``{station}``, ``{location}``,
            ``{channel}``; at most 10 characters.
        channel_key: what the server calls the input (mode ``raw``), made in the same way.
        keepalive_s: after such a silence a line is sent to the station's log, because the server ends a plugin that is
            silent for its ``timeout``; 0: never.
        station: whose log that is.
        name: how log lines and ``status`` call it.
        logger: parent of its logger.
    """

    #: Less than others may hold: the server reads at once or hangs, and what it has not read is not safe anywhere.
    queue_mb = 8.0
    takes_runs = True
    must_deliver = True

    def __init__(
        self,
        mode: Literal["mseed", "raw"] = "mseed",
        fd: Annotated[int, Field(ge=1)] = PLUGIN_FD,
        pipe: Path | None = None,
        encoding: Encoding = Encoding.AUTO,
        flush_after_s: Annotated[float, Field(ge=0, le=86_400)] | None = None,
        flush_each_packet: bool = False,
        station_key: Annotated[str, AfterValidator(_pattern)] = "{network}.{station}",
        channel_key: Annotated[str, AfterValidator(_pattern)] = "{channel}",
        keepalive_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0,
        station: StationSettings | None = None,
        name: str = "SeedLinkPluginPublisher",
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(name, logger)
        self._mode = mode
        self._flush_after_s = 0.0 if flush_each_packet else flush_after_s
        if mode == "mseed":
            waiting_s = _DEFAULT_FLUSH_S if self._flush_after_s is None else self._flush_after_s
            self.record_format = RecordFormat(2, MSEED_BYTES, encoding, waiting_s)
        self._pipe = PipeEnd(fd, pipe)
        self._is_named = pipe is not None
        self._station_key, self._channel_key = station_key, channel_key
        self._station = station
        self._keepalive_s = keepalive_s
        self._writer = PipeWriter()
        self._written_frames = 0
        self._is_writing = False
        self._keys: dict[StreamId, tuple[str, str]] = {}
        self._expected: dict[StreamId, _Expected] = {}
        self._refused: Counter[str] = Counter()
        self._unflushed: dict[tuple[str, str], None] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None

    @classmethod
    def check_streams(cls, streams: Sequence[StreamId], options: Mapping[str, Any]) -> str | None:
        """Return why these *options* contradict each other or cannot carry *streams*; None when all is well."""
        is_raw = options["mode"] == "raw"
        if options["pipe"] is not None and options["fd"] != PLUGIN_FD:
            return "there is fd as well as pipe; leave one of them out"
        if options["flush_each_packet"] and options["flush_after_s"] is not None:
            return "there is flush_after_s as well as flush_each_packet; leave one of them out"
        if is_raw and options["encoding"] != Encoding.AUTO:
            return "in mode raw the server encodes; leave encoding out, or set mode: mseed"
        seen: dict[tuple[str, str], StreamId] = {}
        for stream in streams:
            key = _filled(options["station_key"], stream), _filled(options["channel_key"], stream) if is_raw else ""
            reason = _why_no_key(key) or (None if is_raw else why_not(RecordFormat(2, MSEED_BYTES), stream))
            if reason:
                return reason
            other = seen.setdefault(key, stream)
            if is_raw and other != stream:
                return f"{other} and {stream} would both be channel {key[1]} of {key[0]}; change channel_key"
        return None

    async def open(self) -> None:
        """Take hold of the pipe.

        Raises:
            ComponentError: there is no named pipe (yet); the text names cause and remedy.
            InvalidValue: there is no inherited pipe, and there never will be one.
        """
        self._pipe.open()
        if self._keepalive_s:
            self._beat()

    async def watch(self) -> None:
        """End the component when the server closes the pipe, also while there is nothing to write.

        Raises:
            PipeClosed: it has.
        """
        if self._is_named:
            await super().watch()
        await self._pipe.closed()
        raise PipeClosed(self._pipe.where)

    async def deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> None:
        """Write records, or in mode ``raw`` samples; return when the pipe has taken them.

        Raises:
            ComponentError: the server has closed the pipe.
            PublisherUnavailable: the named pipe has no reader now.
        """
        if self.record_format is not None:
            await self._carry([run for run in batch if isinstance(run, RecordRun)], self._add_run)
            return
        await self._carry([packet for item in batch for packet in _packets(item)], self._add_packet)
        if self._unflushed and self._flushing is None and self._flush_after_s:
            self._flushing = asyncio.get_running_loop().call_later(self._flush_after_s, self._flush)

    def try_deliver(self, batch: Sequence[Packet | PacketRun | RecordRun | bytes]) -> bool:
        """Write a few records, which a pipe takes as a whole or not at all."""
        if self.record_format is None or self._is_writing or not self._pipe.is_pipe:
            return False
        pieces: list[bytes] = []
        size_bytes = 0
        try:
            for run in batch:
                if isinstance(run, RecordRun):
                    size_bytes += len(run.data)
                    if size_bytes > ATOMIC_BYTES:
                        return False
                    pieces.append(frame_records((self._keys.get(run.stream) or self._key(run.stream))[0], run.data))
            data = b"".join(pieces)
            return len(data) <= ATOMIC_BYTES and self._pipe.connect() and self._pipe.write_now(data)
        except (LocalProtocolError, OSError, ComponentError):
            return False  # `deliver` raises what is wrong

    async def _carry(self, batch: Sequence[Item], add: Callable[[Item], None]) -> None:
        """Write what *add* makes of each item of *batch*, several items at a time."""
        try:
            is_connected = self._pipe.connect()
        except ComponentError as error:  # the named pipe was removed
            raise PublisherUnavailable(str(error)) from error
        if not is_connected:
            raise PublisherUnavailable(f"no program reads {self._pipe.where}; start the one that does")
        frames: list[_Frames] = []
        before_all = self._written_frames
        self._is_writing = True
        try:
            for index, item in enumerate(batch, 1):
                before = self._writer.queued_frames
                add(item)
                frames.append(_Frames(self._writer.queued_frames - before, count_of(item)))
                if self._writer.queued_bytes >= _TOGETHER_BYTES or index == len(batch):
                    await self._write_out()
        except BrokenPipeError:
            if not self._is_named:
                raise PipeClosed(self._pipe.where) from None
            self._pipe.close()
            self._expected.clear()
            self._writer = PipeWriter()  # what it holds is offered again
            delivered = _items(frames, self._written_frames - before_all)
            raise PublisherUnavailable(
                f"{self._pipe.where} is not read any more; start what reads it", delivered
            ) from None
        except OSError as error:
            raise ComponentError(f"cannot write to {self._pipe.where}: {error.strerror}") from error
        finally:
            self._is_writing = False

    async def _write_out(self) -> None:
        """Write what is queued, in the largest pieces that the pipe takes whole."""
        while self._writer.queued_bytes and (write := self._writer.take(self._pipe.piece_bytes)):
            await self._pipe.write(write.data)
            self._written_frames += write.frames

    def _add_run(self, run: RecordRun) -> None:
        try:
            self._writer.send_mseed_records(self._key(run.stream)[0], run.data)
        except LocalProtocolError as error:
            self._refuse(str(run.stream), str(error), len(run))

    def _add_packet(self, packet: Packet | bytes) -> None:
        if isinstance(packet, bytes):
            self._refuse("bytes", "plain bytes have no channel and no time")
        elif packet.samples.dtype.kind == "f":
            self._refuse(str(packet.stream), f"mode raw carries integers, not {packet.sample_type}; set mode: mseed")
        elif packet.samples.size:
            try:
                self._add_samples(packet, self._key(packet.stream))
            except LocalProtocolError as error:
                self._refuse(str(packet.stream), str(error))

    def _add_samples(self, packet: Packet, key: tuple[str, str]) -> None:
        expected = self._expected.get(packet.stream)
        if expected and not expected.is_met_by(packet):
            # The server passes over gaps below its proc_gap_flush, as a rule 0.1 s: then they would not be seen.
            self._writer.send_flush(*key)
        self._writer.send_samples(*key, packet.start_ns, packet.samples, packet.timing_quality, packet.rate_hz)
        self._expected[packet.stream] = _Expected(packet.next_ns, packet.rate_hz)
        if self._flush_after_s == 0:
            self._writer.send_flush(*key)
        elif self._flush_after_s:
            self._unflushed[key] = None

    def _key(self, stream: StreamId) -> tuple[str, str]:
        """Return what the server calls the station and the channel of *stream*."""
        key = self._keys.get(stream)
        if key is None:
            key = self._keys[stream] = _filled(self._station_key, stream), _filled(self._channel_key, stream)
        return key

    def _refuse(self, stream: str, reason: str, count: int = 1) -> None:
        if stream not in self._refused:
            self.log.error("%s does not go to the server, counted as refused: %s", stream, reason)
        self._refused[stream] += count

    def _flush(self) -> None:
        """Ask the server to give out what it has; once more in a moment when the pipe is full."""
        self._flushing = None
        if self._is_writing:  # a flush must not overtake the samples that it is for
            self._flushing = asyncio.get_running_loop().call_later(_RETRY_FLUSH_S, self._flush)
            return
        writer = PipeWriter()
        for key in self._unflushed:
            writer.send_flush(*key)
        try:
            is_done = all(self._pipe.write_now(data) for data, _ in writer.writes_to_send())
        except OSError:
            return  # the next delivery raises
        if is_done:
            self._unflushed.clear()
        else:
            self._flushing = asyncio.get_running_loop().call_later(_RETRY_FLUSH_S, self._flush)

    def _beat(self) -> None:
        """Send a line to the log when nothing was written for `keepalive_s`."""
        silent_s = time.monotonic() - self._pipe.last_write_s
        if silent_s >= self._keepalive_s:
            self._speak(silent_s)
            silent_s = 0.0
        self._beating = asyncio.get_running_loop().call_later(self._keepalive_s - silent_s, self._beat)

    def _speak(self, silent_s: float) -> None:
        writer = PipeWriter()
        writer.send_log(self._log_station(), time.time_ns(), f"rawdaq: no data for {silent_s:.0f} s, but still alive")
        try:
            self._pipe.write_now(writer.data_to_send())  # a full pipe is no silence
        except OSError as error:
            self.log.error("cannot write to %s: %s", self._pipe.where, error.strerror)

    def _log_station(self) -> str:
        """Return the key of the station whose log a keep-alive goes to; empty when there is none."""
        keys = [key[0] for key in self._keys.values()]
        if self._station:
            codes = self._station.network, self._station.code, self._station.location, _EXAMPLE.channel
            keys.insert(0, _filled(self._station_key, StreamId(*codes)))
        return next((key for key in keys if not _why_no_key((key, ""))), "")

    async def aclose(self) -> None:
        """Let go of the pipe."""
        await super().aclose()
        if self._unflushed:
            self._flush()
        for timer in (self._flushing, self._beating):
            if timer is not None:
                timer.cancel()
        self._pipe.close()

    def status(self) -> dict[str, object]:
        """Return what `status` shows besides the queue's counters."""
        return {
            "mode": self._mode,
            "pipe": self._pipe.where,
            "written_bytes": self._pipe.written_bytes,
            "refused": self._refused.total(),
            "refused_by_stream": dict(self._refused),
        }


def _packets(item: Packet | PacketRun | RecordRun | bytes) -> Iterable[Packet | bytes]:
    return item if isinstance(item, PacketRun) else (item,) if isinstance(item, Packet | bytes) else ()
