"""Messages that are events: `EventFormat` is what a plug-in derives from, `Event` what it makes of a message.

`layouts` and `texts` have the formats that rawdaq brings, `times` their times, `counters` the jumps of counters.
"""

from rawdaq.protocols.events.event import Event, EventFormat, ForeignMessage, Frames, MalformedMessage

__all__ = ["Event", "EventFormat", "ForeignMessage", "Frames", "MalformedMessage"]
