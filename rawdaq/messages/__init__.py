"""Messages that are no waveform: readouts, events, telemetry, logs, monitoring.

`message` is the value that receivers publish, `frames` its form on ZMQ.
"""

from rawdaq.messages.message import Kind, Message, topic_of

__all__ = ["Kind", "Message", "topic_of"]
