"""FileReplayer: publishes waveform files as if a device sent them now."""

import asyncio
import contextlib
import time as clocks
from collections.abc import Sequence
from math import inf, isfinite, nan
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.errors import CommandError, ComponentError, InvalidValue, RawdaqError
from rawdaq.miniseed.file import Extent
from rawdaq.miniseed.format import RecordRun
from rawdaq.miniseed.reader import RecordUnreadable, moved
from rawdaq.packet import Packet
from rawdaq.publisher import OverflowPolicy, Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.replay.clock import Position, ReplayClock, speed_text
from rawdaq.replay.names import StreamNames, new_codes
from rawdaq.replay.progress import is_watched, show_progress
from rawdaq.replay.reader import ReplayReader
from rawdaq.replay.sources import FileRefused, Problems
from rawdaq.times import NS_PER_S, from_iso, to_iso

_MAX_PACKET_S = 3600.0
_MAX_SPEED = 1e6
_SHOWN_FILES = 20  # skipped ones that status names


def _files(files: str | list[str]) -> str | list[str]:
    if not files or not all([files] if isinstance(files, str) else files):
        raise ValueError("at least one file, folder or pattern is needed, such as day/*.mseed")
    return files


def _rename(names: dict[str, str]) -> dict[str, str]:
    for name in names.values():
        new_codes(name)
    return names


class FileReplayer(ReceiverServer):
    """Plays waveform files as if a device sent them: miniSEED of any size record by record, and what else ObsPy reads.

    A packet is published when its last sample is due. All streams of all files are played together, in order of time.
    At the end of the files the component delivers what waits and ends, with exit status 0.

    Args:
        publishers: where the packets go.
        station: network and station of streams that have none in a file.
        name: the component's name.
        files: files, folders (with all that is below them) and patterns such as ``day/**/*.mseed``; one or several.
        folder: the folder of relative names in *files*; itself relative to the station file's folder.
        speed: data seconds a second, up to a million, or ``max``: as fast as publishers take it. At ``max`` the
            queues of all publishers block, whatever their ``overflow``, so that nothing is dropped.
        time: ``original``, or ``now``: all times are shifted by one offset, so that the first sample is now.
        loop: play again and again. With ``now`` time goes on, with ``original`` it jumps back.
        streams: shell-style patterns of the streams to play, by their names in the files; none means all.
        rename: new names by pattern of the name in the files, such as ``{"IU.COLA.*.*": "XX.TEST.*.*"}``, where a
            ``*`` as a code of the new name keeps what the file has.
        packet_s: the length of a packet; 0 leaves records and traces as they are in the files.
        strict: end with an error at the first file, or part of one, that cannot be read, instead of skipping it.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        files: Annotated[str | list[str], AfterValidator(_files)],
        folder: Path = Path(),
        speed: Annotated[float, Field(gt=0, le=_MAX_SPEED)] | Literal["max"] = 1.0,
        time: Literal["original", "now"] = "original",
        loop: bool = False,
        streams: Sequence[str] = (),
        rename: Annotated[dict[str, str], AfterValidator(_rename)] | None = None,
        packet_s: Annotated[float, Field(ge=0, le=_MAX_PACKET_S)] = 1.0,
        strict: bool = False,
        name: str = "FileReplayer",
    ) -> None:
        super().__init__("", 0, publishers, name)
        self.stats.ahead_s = self.stats.behind_s = inf  # its times are those of the files
        self.stats.has_stamps = False  # records keep the times that they have
        self._setup = True  # it has no socket
        self.problems = Problems(lambda text: self.log.warning("%s", text), strict)
        self.reader = ReplayReader(
            [files] if isinstance(files, str) else files,
            folder,
            StreamNames(streams, rename, station.network, station.code),
            packet_s,
            self.problems,
        )
        self.clock = ReplayClock(inf if speed == "max" else speed)
        self._is_now, self._is_looping = time == "now", loop
        self._doing = "looking for files"
        self._wake = asyncio.Event()
        self._seek_ns: int | None = None
        self._began_s = 0.0
        self._began_ns = 0
        self._turn = 0
        self._late_s = 0.0
        self._first_ns: int | None = None  # of all that is played
        self._reached_ns: int | None = None
        self._next_ns = 0  # where the data would go on
        self._offset_ns = 0  # from the time in the files to the published one

    # ------------------------------------------------------------------ playing

    async def _open(self) -> None:
        self._apply_overflow()
        self.last_end = None  # the files begin anew
        try:
            if not await self.reader.find():
                raise ComponentError("there are no files to play; check `files` and `folder`")
        except FileRefused as error:
            raise ComponentError(f"{self.name}: {error}") from error
        await super()._open()

    def _apply_overflow(self) -> None:
        """Let every queue block at full speed, so that nothing is dropped, and follow its own policy otherwise."""
        self.set_overflow(OverflowPolicy.BLOCK if self.clock.speed == inf else None)

    async def ct_play(self) -> None:
        """Play the files, then stop the component."""
        try:
            self._doing = f"looking at {self.reader.files} files"
            extent = await self.reader.scan()
            if extent is None:
                raise ComponentError("none of the files can be played; the log gives the reason for each")
            await self._play(extent)
        except ComponentError:
            raise
        except RawdaqError as error:
            raise ComponentError(f"{error} (strict)") from error
        finally:
            self.reader.close()
        self.stop()

    async def _play(self, extent: Extent) -> None:
        self.log.info("plays %d files, from %s to %s", self.reader.files, *map(to_iso, extent))
        while True:
            self.reader.rewind()
            await self._play_turn()
            if self._first_ns is None:
                raise ComponentError("the files hold no waveforms of the selected streams")
            has_waveforms = self._next_ns != self._first_ns
            if not has_waveforms and self._turn:
                raise ComponentError("the files that were played before are empty now")
            if not self._is_looping:
                break
            if not has_waveforms:
                raise ComponentError("the files hold no waveforms of the selected streams to repeat")
            self._begin_again(self._first_ns)
        self._doing = "delivering"
        self.expect_none()
        self.log.info("the files are at their end")
        # Not by a stop, which waits only for `stop_timeout_s`.
        await self.delivered()

    async def _play_turn(self) -> None:
        """Play the files from the current position to their end."""
        self._doing = "playing"
        batch: list[Packet | RecordRun] = []
        while True:
            if self._seek_ns is not None:
                batch = []
                self._jump(self._seek_ns)
            if not batch:
                batch = await self.reader.batch()
                if not batch and self._seek_ns is None:
                    return
                if batch and self._first_ns is None:
                    self._begin(min(packet.start_ns for packet in batch))
                continue
            due = self._count_due(batch)
            if due:
                await self._publish(batch[:due])
                batch = batch[due:]
            else:
                await self._sleep(self.clock.due_s(batch[0].end_ns))

    def _begin(self, first_ns: int) -> None:
        self._first_ns = self._next_ns = first_ns
        self.clock.go_to(first_ns)
        if self._is_now:
            self._offset_ns = clocks.time_ns() - first_ns
        self._note_begin(first_ns)

    def _note_begin(self, time_ns: int) -> None:
        self._began_s, self._began_ns = clocks.monotonic(), time_ns

    def _begin_again(self, first_ns: int) -> None:
        """Begin the next turn at the moment at which this one ended."""
        self.clock.begin_again(self._next_ns, first_ns)
        if self._is_now:
            self._offset_ns += self._next_ns - first_ns
        self._turn += 1
        self._next_ns = first_ns
        self._note_begin(first_ns)

    def _jump(self, time_ns: int) -> None:
        """Continue at *time_ns* of the files; with ``now`` the published time runs on."""
        self._seek_ns = None
        self.reader.rewind(time_ns)
        if self._is_now and self._first_ns is not None:
            self._offset_ns = max(clocks.time_ns(), self._next_ns + self._offset_ns) - time_ns
        self.clock.go_to(time_ns)
        self._next_ns = self._reached_ns = time_ns
        self._note_begin(time_ns)

    def _count_due(self, batch: Sequence[Packet | RecordRun]) -> int:
        """Return how many packets at the beginning of *batch* are due."""
        if self.clock.is_held:
            return 0
        self._late_s = max(0.0, -self.clock.due_s(batch[0].end_ns))
        if self.clock.speed == inf:
            return len(batch)
        now_ns = self.clock.now_ns
        return next((index for index, packet in enumerate(batch) if packet.end_ns > now_ns), len(batch))

    async def _publish(self, batch: Sequence[Packet | RecordRun]) -> None:
        now_ns, offset_ns = clocks.time_ns(), self._offset_ns
        packets = [item for item in batch if isinstance(item, Packet)]
        await self.publish([each.replace(start_ns=each.start_ns + offset_ns, received_ns=now_ns) for each in packets])
        if len(packets) < len(batch):
            texts = (self._moved(item, offset_ns) for item in batch if isinstance(item, RecordRun))
            await self.publish_records([text for text in texts if text is not None])
        self._reached_ns = max(item.end_ns for item in batch)
        self._next_ns = max([self._next_ns, *(packet.next_ns for packet in packets)])
        if self.clock.speed == inf:
            self.clock.go_to(self._reached_ns)

    def _moved(self, run: RecordRun, by_ns: int) -> RecordRun | None:
        """Return a record that holds no waveform *by_ns* later, None when that cannot be, which is logged."""
        if not by_ns:
            return run
        try:
            data = moved(run.data, run.stream, by_ns)
        except RecordUnreadable as error:
            self.log.warning("a record of %s is left out: %s", run.stream, error)
            return None
        return RecordRun(run.stream, [run.start_ns + by_ns], run.sample_counts, 0.0, data)

    async def _sleep(self, delay_s: float) -> None:
        """Return after *delay_s*, or when a command has changed something."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if delay_s == inf else delay_s):
                await self._wake.wait()

    async def ct_progress(self) -> None:
        """Show a progress bar where the log goes to a terminal."""
        if is_watched():
            await show_progress(self.position)

    # ------------------------------------------------------------------ commands

    def position(self) -> Position:
        """Return how far the replay is."""
        first_ns, last_ns = self.reader.extent or Extent(0, 0)
        reached_ns = self._reached_ns
        return Position(
            "paused" if self.clock.is_held and self._doing == "playing" else self._doing,
            reached_ns,
            None if reached_ns is None else reached_ns + self._offset_ns,
            first_ns if self._first_ns is None else min(first_ns, self._first_ns),
            last_ns,
            self.clock.speed,
            self._remaining_s(last_ns),
            self._late_s,
            self._turn,
        )

    def _remaining_s(self, last_ns: int) -> float | None:
        if self._reached_ns is None:
            return None
        left_s = max(0.0, (last_ns - self._reached_ns) / NS_PER_S)
        if self.clock.speed != inf:
            return left_s / self.clock.speed + self._late_s
        done_s = (self._reached_ns - self._began_ns) / NS_PER_S
        return left_s / done_s * (clocks.monotonic() - self._began_s) if done_s > 0 else None

    def receiver_status(self) -> dict[str, object]:
        """Return the position, and what is wrong with the files."""
        return super().receiver_status() | {
            "position": self.position().report(),
            "files": self.reader.files,
            "files_skipped": len(self.problems.files),
            "skipped": list(self.problems.files.values())[:_SHOWN_FILES],
            "damages": self.problems.damages,
            "texts": self.stats.records,
        }

    def cmd_position(self) -> dict[str, object]:
        """Show the time reached in the files, what is left, and the speed."""
        return self.position().report()

    def cmd_pause(self) -> str:
        """Pause; `resume` continues there, and all that follows is later by the pause."""
        self.clock.hold()
        self._wake.set()
        return super().cmd_pause()

    def cmd_resume(self) -> str:
        """Continue after `pause`: nothing is skipped and nothing comes in a burst."""
        if self.clock.is_held:
            self.clock.release()
        self._wake.set()
        return super().cmd_resume()

    def cmd_seek(self, args: list[str]) -> dict[str, str]:
        """Continue at a time of the files: seek 2026-11-21T00:00:00, or seek +60 or -60 for seconds from here."""
        extent = self.reader.extent
        if len(args) != 1:
            raise CommandError("usage: seek TIME, such as 2026-11-21T00:00:00Z, or +60 or -60 (seconds)")
        if extent is None or self._doing != "playing" or self._first_ns is None:
            raise CommandError(f"nothing is played now ({self._doing})")
        time_ns = max(extent.start_ns, self._time(args[0]))
        if time_ns > extent.end_ns:
            raise CommandError(f"the files end at {to_iso(extent.end_ns)}")
        self._seek_ns = time_ns
        self._wake.set()
        return {"time": to_iso(time_ns)}

    def _time(self, text: str) -> int:
        """Return the time that *text* names; one with a sign is relative to the current position."""
        try:
            if text[:1] in ("+", "-"):
                seconds = float(text)
                if not isfinite(seconds):
                    raise InvalidValue(f"{text!r} is not a number of seconds")
                here_ns = self._first_ns if self._reached_ns is None else self._reached_ns
                return (here_ns or 0) + round(seconds * NS_PER_S)
            return from_iso(text)
        except ValueError as error:
            raise CommandError(str(error)) from error

    def cmd_speed(self, args: list[str]) -> dict[str, str | float]:
        """Show the speed, or set it: speed FACTOR|max."""
        if args:
            speed = _speed(args[0])
            if len(args) != 1 or not (0 < speed <= _MAX_SPEED or speed == inf):
                raise CommandError(f"usage: speed FACTOR|max, such as 1, 0.5 or 60; at most {_MAX_SPEED:.0f}")
            self.clock.set_speed(speed)
            self._apply_overflow()
            self._wake.set()
            self.log.info("plays at speed %s", speed_text(speed))
        return {"speed": speed_text(self.clock.speed)}


def _speed(text: str) -> float:
    try:
        return inf if text == "max" else float(text)
    except ValueError:
        return nan
