"""A STA/LTA trigger over all streams of a component: each has a detector of its own, and they may have to agree."""

import logging
from collections.abc import Iterable

from rawdaq.config.trigger import TriggerSettings
from rawdaq.packet import Packet, PacketRun
from rawdaq.stream_id import StreamId
from rawdaq.streams.decimator import load
from rawdaq.streams.trigger.coincidence import Coincidence, Together
from rawdaq.streams.trigger.detector import CannotTrigger, Detector, Ended, Found, Onset

#: Bounds what names that a peer invents can make us hold; a stream costs about 3 kB.
MAX_STREAMS = 10_000


class Trigger:
    """Finds the events of a component's streams.

    Args:
        settings: of the trigger.
        log: where a stream in which none can be found is logged, once for each reason.
    """

    def __init__(self, settings: TriggerSettings, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._detectors: dict[StreamId, Detector | None] = {}
        self._coincidence = Coincidence(settings.coincidence) if settings.coincidence else None
        self._refused: dict[StreamId, str] = {}
        self._beyond = 0
        self._on: dict[StreamId, Onset] = {}
        self._counts = {"on": 0, "off": 0, "coincidence": 0}

    def open(self) -> None:
        """Load the filters, which takes about a second on a small computer."""
        load()

    def add(self, items: Iterable[object]) -> list[Found | Together]:
        """Return what *items* begin and end; what is no packet is ignored."""
        found: list[Found | Together] = []
        for item in items:
            if isinstance(item, Packet | PacketRun) and (detector := self._of(item.stream)):
                try:
                    found += self._counted(detector.add(item))
                    self._refused.pop(item.stream, None)
                except CannotTrigger as error:
                    self._refuse(item.stream, str(error))
        return found

    def close(self) -> list[Found | Together]:
        """Return the ends of all events that are on."""
        ends = [detector.close(Ended.STOP) for detector in self._detectors.values() if detector]
        return [each for end in ends for each in self._counted(end)]

    def status(self) -> dict[str, object]:
        """Return what `status` shows: how many streams and events, what is on since when, and what is refused why."""
        shown: dict[str, object] = {
            "streams": sum(detector is not None for detector in self._detectors.values()),
            "events": dict(self._counts),
            "on": {str(stream): onset.time_ns for stream, onset in self._on.items()},
            "refused": {str(stream): reason for stream, reason in self._refused.items()},
        }
        return shown | {"packets_beyond_limit": self._beyond} if self._beyond else shown

    def _of(self, stream: StreamId) -> Detector | None:
        """Return the detector of *stream*, made when its first packet comes; None when it is not listened to."""
        if stream not in self._detectors:
            if len(self._detectors) >= MAX_STREAMS:
                self._beyond += 1
                if self._beyond == 1:
                    self._log.error("more than %d streams: no events are found in %s and others", MAX_STREAMS, stream)
                return None
            is_ours = stream.matches(self._settings.streams)
            self._detectors[stream] = Detector(stream, self._settings) if is_ours else None
        return self._detectors[stream]

    def _refuse(self, stream: StreamId, reason: str) -> None:
        if self._refused.get(stream) != reason:
            self._log.error("no events are found in %s: %s", stream, reason)
        self._refused[stream] = reason

    def _counted(self, found: list[Found]) -> list[Found | Together]:
        """Return *found*, and the coincidences that it completes after the onsets."""
        shown: list[Found | Together] = []
        for each in found:
            shown.append(each)
            if isinstance(each, Onset):
                self._counts["on"] += 1
                self._on[each.stream] = each
                if self._coincidence and (together := self._coincidence.add(each)):
                    self._counts["coincidence"] += 1
                    shown.append(together)
            else:
                self._counts["off"] += 1
                self._on.pop(each.stream, None)
        return shown
