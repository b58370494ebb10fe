"""What a station file may say about a receiver of datagrams, and what it may not."""

from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue
from rawdaq.receivers.raw_udp.receiver import RawUDPReceiver

STATION = StationSettings(network="XX", code="DEMO", location="00")
NAME = "XX.DEMO.00.HHZ"


def problems(**options: Any) -> str:
    """Return what `control-rawdaq check` would say."""
    made, mistakes = read_options(RawUDPReceiver, options, Path("/"))
    if mistakes:
        return "; ".join(f"{'.'.join(map(str, mistake.where))}: {mistake.text}" for mistake in mistakes)
    try:
        RawUDPReceiver.streams(STATION, made)
    except InvalidValue as error:
        return str(error)
    return ""


def test_every_option_is_accepted_by_the_station_file() -> None:
    assert problems(channels={1: "HHZ"}, rate_hz=100) == ""
    assert (
        problems(
            channels={1: {"code": "HHZ", "rate_hz": 62.5, "type": "int16", "endianness": "big"}, 2: "10.HHZ"},
            rate_hz=50,
            type="float32",
            endianness="big",
            ip="0.0.0.0",
            ports=[9000, 9001],
            version="1.1",
            senders=["192.0.2.7", "2001:db8::/32"],
            multicast=["239.1.2.3"],
            interface="eth0",
            receive_buffer_mb=8,
            reorder_s=2,
            capture="folder/capture",
            capture_mb=1,
            capture_files=3,
        )
        == ""
    )
    assert problems(raw=True, port=0) == ""
    for senders in (["192.0.2.7", "127.0.0.2"], ["::1"], ["0.0.0.0/0"]):
        assert problems(raw=True, senders=senders) == ""
    assert problems(raw=True, ip="device.example", senders=["192.0.2.7"]) == ""


def test_its_ports_and_its_capture_are_for_it_alone_unless_it_joins_a_group() -> None:
    def exclusive(**options: Any) -> list[str]:
        return RawUDPReceiver.exclusive(read_options(RawUDPReceiver, {"raw": True, **options}, Path("/a"))[0])

    assert exclusive() == ["UDP port 65535 of 127.0.0.1"]
    assert exclusive(ip="::1", port=9000, capture="b") == ["UDP port 9000 of ::1", "file /a/b"]
    assert exclusive(ports=[0, 9000, 9001]) == ["UDP port 9000 of 127.0.0.1", "UDP port 9001 of 127.0.0.1"]
    assert exclusive(port=9000, multicast=["239.1.2.3"]) == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no channels": ({"channels": None}, "at least one channel is needed"),
    "empty channels": ({"channels": {}}, "at least one channel is needed"),
    "raw with channels": ({"raw": True}, "leave out either raw or channels"),
    "no rate": ({"rate_hz": None}, "channel 1: HHZ has no rate_hz"),
    "rate": ({"rate_hz": 0.0}, "rate_hz"),
    "address": ({"ip": "127.0.0.1:9"}, "is no host name or address, such as 192.0.2.7 or digitizer.local, without"),
    "impossible address": ({"ip": "300.1.1.1"}, "is no host name or address"),
    "infinite": ({"clock_tolerance_s": float("inf")}, "should be a finite number"),
    "type": ({"type": "int64"}, "type"),
    "endianness": ({"endianness": "middle"}, "endianness"),
    "code": ({"channels": {1: "hhz"}}, "'hhz' is not [location.]channel"),
    "channel key": (
        {"channels": {1: {"code": "HHZ", "rate": 1}}},
        "channels.1: unknown key rate; a channel has code, rate_hz",
    ),
    "channel id": ({"channels": {-1: "HHZ"}}, "channels"),
    "twice": ({"channels": {1: "HHZ", 2: "00.HHZ"}}, "two channels cannot be one stream"),
    "id of the version": ({"channels": {70_000: "HHZ"}}, "channel 70000 is not in 0-65535 of RAW 2.0"),
    "type of the version": ({"type": "float32", "version": "1.0"}, "RAW 1.0 has no float32 samples"),
    "version": ({"version": "auto"}, "version"),
    "port": ({"port": 65_536}, "port"),
    "port and ports": ({"port": 9000, "ports": [9001]}, "either port or ports"),
    "ports": ({"ports": [9000, -1]}, "ports"),
    "loopback": (
        {"senders": ["192.0.2.7", "192.0.2.8", "192.0.2.9", "198.51.100.0/24"]},
        "nothing arrives from 192.0.2.7, 192.0.2.8, 192.0.2.9 and 1 more: ip 127.0.0.1 hears only this machine; "
        "set ip: 0.0.0.0, or the address of this machine's interface",
    ),
    "loopback of IPv6": ({"ip": "::1", "senders": ["2001:db8::/32"]}, "ip ::1 hears only this machine; set ip: '::'"),
    "sender": ({"senders": ["device"]}, "'device' is not an address or network"),
    "senders": ({"senders": "192.0.2.7"}, "senders"),
    "group": ({"multicast": ["192.0.2.7"]}, "'192.0.2.7' is not a multicast group"),
    "group word": ({"multicast": ["all"]}, "'all' is not a multicast group"),
    "group at an address": ({"multicast": ["239.1.2.3"], "ip": "192.0.2.7"}, "group 239.1.2.3 needs ip: '0.0.0.0'"),
    "group of IPv6": ({"multicast": ["ff15::7"]}, "group ff15::7 needs ip: '::'"),
    "interface": ({"interface": "eth0"}, "name the groups"),
    "buffer": ({"receive_buffer_mb": 0.0}, "receive_buffer_mb"),
    "reorder": ({"reorder_s": -1.0}, "reorder_s"),
    "capture size": ({"capture_mb": 0.0}, "capture_mb"),
    "capture files": ({"capture_files": 0}, "capture_files"),
    "unknown": ({"host": "127.0.0.1"}, "unknown key"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_is_told_before_anything_starts(name: str) -> None:
    wrong, text = WRONG[name]
    assert text in problems(**{"channels": {1: "HHZ"}, "rate_hz": 100, **wrong})


def test_options_that_do_not_go_together_are_all_told_at_once() -> None:
    told = problems(port=1, ports=[2], interface="eth0", channels={1: "HHZ", 2: "HHZ"})
    for text in (
        "either port or ports",
        "name the groups",
        "two channels cannot be one stream",
        "channel 2: HHZ has no",
    ):
        assert text in told
    with pytest.raises(InvalidValue, match="either port or ports"):
        RawUDPReceiver([], STATION, channels={}, port=1, ports=[2])


def test_streams_are_known_from_the_options_and_the_port_has_a_default() -> None:
    options, _ = read_options(RawUDPReceiver, {"channels": {1: "HHZ", 2: ".HHN"}, "rate_hz": 1}, Path("/"))
    assert [str(stream) for stream in RawUDPReceiver.streams(STATION, options)] == [NAME, "XX.DEMO..HHN"]
    receiver = RawUDPReceiver([], STATION, **options)
    assert [endpoint.address for endpoint in receiver.endpoints] == ["127.0.0.1:65535"]
