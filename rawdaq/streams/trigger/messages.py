"""Onsets, ends and coincidences as messages ``~event...``."""

import logging
from collections.abc import Iterable
from typing import Any

from rawdaq.config.trigger import TriggerSettings
from rawdaq.messages import Message
from rawdaq.streams.trigger.coincidence import Together
from rawdaq.streams.trigger.detector import Found, Onset
from rawdaq.streams.trigger.trigger import Trigger


class EventTrigger:
    """Finds the events of a component's streams, and makes messages of them.

    Args:
        settings: of the trigger.
        topic: of the messages.
        log: where a stream in which none can be found is logged.
    """

    def __init__(self, settings: TriggerSettings, topic: str, log: logging.Logger) -> None:
        self._trigger = Trigger(settings, log)
        self._topic = topic
        self.open = self._trigger.open
        self.status = self._trigger.status

    def messages(self, items: Iterable[object]) -> list[Message]:
        """Return the messages of what *items* begin and end; what is no packet is ignored."""
        return [as_message(each, self._topic) for each in self._trigger.add(items)]

    def end(self) -> list[Message]:
        """Return the messages of the ends of all events that are on."""
        return [as_message(each, self._topic) for each in self._trigger.close()]


def as_message(found: Found | Together, topic: str) -> Message:
    """Return the message of *topic* for what a trigger found.

    Its ``type`` is ``on``, ``off`` or ``coincidence``; ``fields`` has the stream and the ratio, of an end also the
    highest ratio, the begin and the reason, of a coincidence the streams in order of their onsets.
    """
    fields: dict[str, Any]
    if isinstance(found, Together):
        kind = "coincidence"
        onsets = found.onsets
        fields = {
            "streams": [str(onset.stream) for onset in onsets],
            "onsets_ns": [onset.time_ns for onset in onsets],
            "ratios": [onset.ratio for onset in onsets],
        }
    elif isinstance(found, Onset):
        kind, fields = "on", {"stream": str(found.stream), "ratio": found.ratio}
    else:
        kind = "off"
        fields = {"stream": str(found.stream), "ratio": found.ratio, "maximum": found.maximum}
        fields |= {"on_ns": found.on_ns, "reason": found.reason.value}
    return Message(topic, {"type": kind, "time_ns": found.time_ns, "ps": 0, "fields": fields})
