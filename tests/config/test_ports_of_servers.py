"""Ports of all kinds of servers in one station file: each is given once."""

from pathlib import Path

from tests.config_classes import problems_of

STATION = """\
station: {network: XX, code: A, location: "00"}
Raw:
  Receiver: {class: RawReceiver, channels: {1: HHZ}}
  Publishers:
    live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}
    ring: {class: RingPublisher, path: ring, seedlink: {port: 18000}, datalink: {port: 9004}}
Hub:
  Receiver: {class: RingServer, path: other, seedlink: {port: 18000}}
"""


def test_a_ring_has_no_port_of_another_publisher(tmp_path: Path) -> None:
    assert problems_of(tmp_path, STATION) == [
        "6: Raw.Publishers.ring: tcp://127.0.0.1:9004 is what Raw.Publishers.live has already; give each its own",
        "8: Hub.Receiver: tcp://127.0.0.1:18000 is what Raw.Publishers.ring has already; give each its own",
    ]
