"""RepeaterPublisher: frames of a detector go out again, thinned, to consumers that are each counted.

`publisher` takes frames and packets; `modes` selects; `output` keeps what waits and serves each `consumer`; `places`
knows addresses, `writer` the header of the detector writer, `backlog` what waits and the counters.
"""

from rawdaq.publishers.repeater.modes import Mode, Origin, parameter_mistake
from rawdaq.publishers.repeater.places import connected_place
from rawdaq.publishers.repeater.publisher import WRITER, RepeaterPublisher, socket_type
from rawdaq.publishers.repeater.writer import writer_mistakes, writer_run

__all__ = [
    "WRITER",
    "Mode",
    "Origin",
    "RepeaterPublisher",
    "connected_place",
    "parameter_mistake",
    "socket_type",
    "writer_mistakes",
    "writer_run",
]
