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


EVERYWHERE = """\
station: {network: XX, code: A, location: "00"}
Raw:
  Receiver: {class: RawReceiver, channels: {1: HHZ}}
  Publishers:
    live: {class: ZMQTCPPublisher, mode: outbound, ip: 0.0.0.0, port: 9004}
    local: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}
    ring: {class: RingPublisher, path: ring, seedlink: {ip: "::", port: 18000}, datalink: {port: 18000}}
Datagrams:
  Receiver: {class: RawUDPReceiver, raw: true, ip: "::", port: 9004}
Others:
  Receiver: {class: RawUDPReceiver, raw: true, ip: 127.0.0.1, port: 9004}
Parts:
  Receiver: {class: ReadoutAssembler, format: raw, slots: {127.0.0.1: 0}, transport: tcp, port: 9004}
"""


def test_a_port_of_every_address_is_that_of_each_address(tmp_path: Path) -> None:
    live = "is what Raw.Publishers.live has already, with tcp://0.0.0.0:9004; give each its own"
    assert problems_of(tmp_path, EVERYWHERE) == [
        f"6: Raw.Publishers.local: tcp://127.0.0.1:9004 {live}",
        "7: Raw.Publishers.ring: tcp://127.0.0.1:18000 is what Raw.Publishers.ring has already, with tcp://[::]:18000; "
        "give each its own",
        "11: Others.Receiver: UDP port 9004 of 127.0.0.1 is what Datagrams.Receiver has already, "
        "with UDP port 9004 of ::; give each its own",
        f"13: Parts.Receiver: TCP port 9004 of 127.0.0.1 {live}",
    ]
