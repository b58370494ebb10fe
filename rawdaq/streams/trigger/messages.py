"""Onsets, ends and coincidences as messages ``~event...``."""

from typing import Any

from rawdaq.messages import Message
from rawdaq.streams.trigger.coincidence import Together
from rawdaq.streams.trigger.detector import Found, Onset


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
