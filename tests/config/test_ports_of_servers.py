"""Ports of all kinds of servers in one station file: each is given once."""

from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.config import ConfigError
from tests.config_classes import problems_of, station_file

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


def _station(folder: Path, code: str, live: str, port: int) -> Path:
    """Write a station file into *folder*; return its path."""
    text = STATION.partition("Hub:")[0].replace("code: A", f"code: {code}").replace("path: ring", f"path: {code}")
    text = text.replace("ip: 127.0.0.1, port: 9004", live).replace("port: 9004", f"port: {port}")
    return station_file(folder, text, f"{code}.yaml")


def test_a_port_that_two_files_of_a_folder_need_is_reported_with_both_and_each_can_still_be_used(
    tmp_path: Path,
) -> None:
    first = _station(tmp_path, "A", "mode: outbound, ip: 0.0.0.0, port: 9100", 9200)
    second = _station(tmp_path, "B", "ip: 127.0.0.1, port: 9100", 9201)
    good, problems = config.load_good(tmp_path)
    assert [file.path for file in good] == [first, second]
    assert list(map(str, problems)) == [
        f"{second}:5: Raw.Publishers.live: tcp://127.0.0.1:9100 is what Raw.Publishers.live of {first}:5 has already, "
        "with tcp://0.0.0.0:9100; give each its own",
        f"{second}:6: Raw.Publishers.ring: tcp://127.0.0.1:18000 is what Raw.Publishers.ring of {first}:6 has already; "
        "give each its own",
    ]
    with pytest.raises(ConfigError):
        config.load_all(tmp_path)
    assert config.load_all(second) == good[1:]
