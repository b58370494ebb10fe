"""A device that sends as fast as its bytes are taken: ``python -m benchmarks.programs.device LOAD [at-once]``.

It serves one connection after another, and sends when it gets a line, or at once.
"""

import contextlib
import json
import socket
import sys
import time

from benchmarks.loads import Load, packets
from benchmarks.processes import report
from rawdaq.protocols.raw.device import RawDevice, StartRequested

_PIECE_BYTES = 1 << 20


def main() -> None:
    """Serve."""
    load, is_waiting = Load(**json.loads(sys.argv[1])), len(sys.argv) == 2
    data = memoryview(packets(load).tobytes())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        report(port=listening.getsockname()[1])
        while True:
            connection, _ = listening.accept()
            accepted_ns = time.monotonic_ns()
            with connection, contextlib.suppress(ConnectionError):
                handshake(connection, load)
                if is_waiting:
                    report(accepted_ns=accepted_ns)
                    sys.stdin.readline()
                for begin in range(0, len(data), _PIECE_BYTES):
                    connection.sendall(data[begin : begin + _PIECE_BYTES])
                if not is_waiting:
                    report(accepted_ns=accepted_ns)
                connection.recv(1)  # until the receiver closes


def handshake(connection: socket.socket, load: Load) -> None:
    """Answer until the receiver has sent START."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    device = RawDevice(load.formats)
    has_started = False
    while not has_started:
        chunk = connection.recv(1 << 16)
        if not chunk:
            raise ConnectionError
        has_started = any(isinstance(event, StartRequested) for event in list(device.receive_data(chunk)))
        connection.sendall(device.data_to_send())


if __name__ == "__main__":
    main()
