"""Senders of readouts in real time: ``python -m benchmarks.programs.readout_senders PORT SENDERS RATE COUNT``.

Each sender has an address of its own, from 127.0.1.0 on. At each instant all of them send a datagram with one RAW
packet of `SAMPLES` values, from which one sees whose they are. They begin at the first line on standard input.
"""

import socket
import struct
import sys
import time

import numpy as np
import numpy.typing as npt

from benchmarks.processes import report
from rawdaq.protocols.raw import RawVersion, encode_packet
from rawdaq.times import NS_PER_S

SAMPLES = 64
CHANNEL = 1

_TIME = struct.Struct(">HHBBBI")  # the first fields of a packet: only these change
_LEAD_S = 0.2


def values(sender: int, instant: int) -> npt.NDArray[np.int16]:
    """Return what a sender measures at an instant, counted from the first."""
    return ((instant * 64 + sender * 256 + np.arange(SAMPLES)) % 30_000).astype("<i2")


def main() -> None:
    """Send all."""
    port, senders, rate, count = map(int, sys.argv[1:])
    sockets: list[socket.socket] = []
    for sender in range(senders):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((f"127.0.1.{sender}", 0))
        opened.connect(("127.0.0.1", port))
        sockets.append(opened)
    report(ready=True)
    sys.stdin.readline()
    began_s, began_ns = time.monotonic() + _LEAD_S, (time.time_ns() // 1_000_000) * 1_000_000
    late_s = 0.0
    for instant in range(count):
        head = encode_packet(RawVersion.V2_0, CHANNEL, began_ns + instant * NS_PER_S // rate, 100, b"", 0)[: _TIME.size]
        datagrams: list[bytes] = []
        for sender in range(senders):
            packet = encode_packet(RawVersion.V2_0, CHANNEL, 0, 100, values(sender, instant).tobytes(), SAMPLES)
            datagrams.append(head + packet[_TIME.size :])
        wait_s = began_s + instant / rate - time.monotonic()
        late_s = max(late_s, -wait_s)
        time.sleep(max(0.0, wait_s))
        for opened, datagram in zip(sockets, datagrams, strict=True):
            opened.send(datagram)
    report(sent=count, began_ns=began_ns, late_s=late_s)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
