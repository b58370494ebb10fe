"""What an event costs: from a datagram of 605 bytes, by a declared layout, to a live stream with one subscriber.

Sender, receiver and subscriber are processes of their own; ``python -m benchmarks.parts.events ADDRESS COUNT`` is the
sender. Events come at a fixed rate; what did not arrive at the subscriber is lost, wherever that happened.
"""

import contextlib
import socket
import subprocess
import sys
import time

import zmq

from benchmarks.jobs import Job, Options, Section
from benchmarks.processes import ROOT, Child
from benchmarks.programs.events import FIELDS
from benchmarks.table import spread
from rawdaq.protocols.layout import FieldValue, Layout

COLUMNS = ("us/message", "messages/s", "lost")
RATE = 20_000  # events a second

_SECONDS, _FULL_SECONDS = 5, 30
_BURST = 20
_QUIET_MS = 1000  # when nothing more has come for so long, the rest is lost
_NAME = f"events {RATE}/s, TriggerReceiver"


def sections(options: Options) -> list[Section]:
    """Return the table."""
    return [Section("Events", COLUMNS, [Job({"": "events"}, [_NAME], lambda: measure(options))])]


def send(address: str, count: int) -> None:
    """Send *count* events."""
    layout = Layout.parse(FIELDS.split(","))
    values: dict[str, FieldValue] = {
        "kind": 1,
        "errors": 0,
        "source": 7,
        "length8": 1,
        "phase": 1,
        "pps": 5,
        "clock": 6,
    }
    values |= {"tack": 1 << 60, "count": 0, "union": list(range(0, 512, 50)), "pattern": "00" * 512}
    message = bytearray(layout.encode(values))
    at = layout.offset_bytes("count")
    host, port = address.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, int(port)))
        began_s = time.monotonic()
        for index in range(count):
            message[at : at + 4] = index.to_bytes(4, "little")
            sender.send(message)
            if index % _BURST == 0 and (early_s := began_s + index / RATE - time.monotonic()) > 0:
                time.sleep(early_s)


def _send_all(address: str, count: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "benchmarks.parts.events", address, str(count)], cwd=ROOT)


def run(count: int) -> dict[str, float]:
    """Return the figures of one run."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with Child("-m", "benchmarks.programs.events") as receiver, context, context.socket(zmq.SUB) as subscriber:
        addresses = receiver.read()
        subscriber.rcvhwm = 0
        subscriber.connect(addresses["published"])
        subscriber.subscribe(b"~event")
        while not subscriber.poll(100):  # until the subscription has arrived
            _send_all(addresses["source"], 1).wait()
        while subscriber.poll(_QUIET_MS):
            subscriber.recv_multipart()
        receiver.go()
        sender = _send_all(addresses["source"], count)
        received, wall_s = _count(subscriber, count)
        sender.wait()
        receiver.go()
        figures = receiver.read()
    return {
        "us/message": figures["cpu_s"] / max(1, received) * 1e6,
        "messages/s": received / wall_s,
        "lost": count - received,
    }


def _count(subscriber: "zmq.Socket[bytes]", wanted: int) -> tuple[int, float]:
    """Return how many messages came, and in which time from the first to the last of them."""
    subscriber.poll(30_000)
    count, began_s, newest_s = 0, time.monotonic(), time.monotonic()
    while count < wanted and subscriber.poll(_QUIET_MS):
        with contextlib.suppress(zmq.Again):
            while True:
                subscriber.recv_multipart(zmq.NOBLOCK)
                count += 1
        newest_s = time.monotonic()
    return count, newest_s - began_s


def measure(options: Options) -> None:
    """Add the row."""
    count = RATE * (options.seconds or (_FULL_SECONDS if options.is_full else _SECONDS))
    runs = [run(count) for _ in range(options.runs or 1)]
    options.table.row(_NAME, {"": "events", "messages": count}, {column: spread(runs, column) for column in COLUMNS})


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]))
