"""A strict DataLink server of the tests' own, as ringserver 4.5 and 2020 behave: sockets and struct, no code of ours.

`ring` has the packets, `commands` what is answered, `wire` connections and WebSocket frames, `server` the loop.
"""

from tests.datalink_server.ring import Ring, RingPacket
from tests.datalink_server.server import Server
from tests.datalink_server.wire import Cut

__all__ = ["Cut", "Ring", "RingPacket", "Server"]
