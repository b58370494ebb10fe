"""What a message of 1 kB costs a relay: from a socket to a ZMQ PUB stream with one subscriber.

UDP datagrams come at a fixed rate, messages of a ZMQ PUSH socket as fast as they are taken. Sender, relay and
subscriber are processes of their own; ``python -m benchmarks.parts.relays KIND ADDRESS COUNT`` is the sender.
"""

import socket
import subprocess
import sys
import threading
import time
from functools import partial

import zmq

from benchmarks.jobs import Job, Options, Section
from benchmarks.processes import ROOT, Child
from benchmarks.programs.relay import RELAYS
from benchmarks.table import spread
from rawdaq.protocols.zmtp import SocketType, ZmtpPeer, frame_message

COLUMNS = ("us/message", "messages/s", "lost")
SIZE_BYTES = 1000
RATE = 80_000  # datagrams a second

_SECONDS, _FULL_SECONDS = 3, 10
_MESSAGES_PER_S = 30_000  # about what is taken
_FRAME_BYTES = sum(map(len, frame_message([bytes(SIZE_BYTES)])))
_QUIET_S = 1.0  # when nothing more has come for so long, the rest is lost
_BURST = 64  # datagrams


def sections(options: Options) -> list[Section]:
    """Return the table."""
    jobs = [
        Job({"": "relays", "kind": kind}, [_row_name(kind, name)], partial(measure, options, kind, name))
        for kind, names in RELAYS.items()
        for name in names
    ]
    return [Section("Relays", COLUMNS, jobs)]


def _row_name(kind: str, name: str) -> str:
    return f"{f'UDP {RATE}/s' if kind == 'udp' else 'ZMQ flood'}, {name}"


def send(kind: str, address: str, count: int) -> None:
    """Send *count* messages."""
    if kind == "zmq":
        with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
            pusher.connect(address)
            for index in range(count):
                pusher.send(index.to_bytes(SIZE_BYTES, "big"))
        return
    host, port = address.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, int(port)))
        began_s = time.monotonic()
        for index in range(count):
            sender.send(index.to_bytes(SIZE_BYTES, "big"))
            if index % _BURST == 0 and (early_s := began_s + index / RATE - time.monotonic()) > 0:
                time.sleep(early_s)


class Counter:
    """A subscriber that counts messages on a thread by their bytes: the processors are for the relay."""

    def __init__(self, address: str) -> None:
        self._bytes = 0
        self._peer = ZmtpPeer(SocketType.SUB)
        host, port = address.removeprefix("tcp://").split(":")
        self._connection = socket.create_connection((host, int(port)))
        self._connection.sendall(self._peer.data_to_send())
        while not self._peer.is_ready:
            for _ in self._peer.receive_data(self._connection.recv(1)):  # no byte of what comes after
                pass
            self._connection.sendall(self._peer.data_to_send())
        self._peer.send_subscribe(b"")
        self._connection.sendall(self._peer.data_to_send())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        buffer = bytearray(1 << 22)
        while size_bytes := self._connection.recv_into(buffer):
            self._bytes += size_bytes

    def wait_for(self, wanted: int) -> int:
        """Return how many messages came, once it is *wanted* or no more come."""
        seen, quiet_since_s = 0, time.monotonic()
        while seen < wanted and time.monotonic() - quiet_since_s < _QUIET_S:
            time.sleep(0.02)
            count = self._bytes // _FRAME_BYTES
            if count != seen:
                seen, quiet_since_s = count, time.monotonic()
        return seen

    def stop(self) -> None:
        """End the thread."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


def run(kind: str, name: str, count: int) -> dict[str, float]:
    """Return the figures of one run."""
    with Child("-m", "benchmarks.programs.relay", kind, name) as relay:
        addresses = relay.read()
        counter = Counter(addresses["published"])

        def send_all(count: int) -> None:
            command = [sys.executable, "-m", "benchmarks.parts.relays", kind, addresses["source"], str(count)]
            subprocess.run(command, check=True, cwd=ROOT)

        while not counter.wait_for(1):  # until the subscription has arrived
            send_all(1)
        before = counter.wait_for(1 << 60)
        relay.go()
        began_s = time.monotonic()
        send_all(count)
        received = counter.wait_for(before + count) - before
        wall_s = time.monotonic() - began_s
        relay.go()
        cpu_s = relay.read()["cpu_s"]
        counter.stop()
    return {"us/message": cpu_s / max(1, received) * 1e6, "messages/s": received / wall_s, "lost": count - received}


def measure(options: Options, kind: str, name: str) -> None:
    """Add the row."""
    seconds = options.seconds or (_FULL_SECONDS if options.is_full else _SECONDS)
    count = seconds * (RATE if kind == "udp" else _MESSAGES_PER_S)
    runs = [run(kind, name, count) for _ in range(options.runs or 1)]
    tags = {"": "relays", "kind": kind, "messages": count}
    options.table.row(_row_name(kind, name), tags, {column: spread(runs, column) for column in COLUMNS})


if __name__ == "__main__":
    send(sys.argv[1], sys.argv[2], int(sys.argv[3]))
