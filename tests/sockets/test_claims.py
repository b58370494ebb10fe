"""Ports clash at one address, and with every address where one of them is a wildcard."""

import pytest

from rawdaq.sockets.claims import Claim


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp://127.0.0.1:9004", "tcp://127.0.0.1:9004"),
        ("tcp://127.0.0.1:9004", "tcp://0.0.0.0:9004"),
        ("tcp://*:9004", "tcp://127.0.0.1:9004"),
        ("tcp://[::]:9004", "tcp://192.0.2.7:9004"),
        ("tcp://[0::0]:9004", "tcp://[::1]:9004"),
        ("tcp://0.0.0.0:9004", "tcp://[::]:9004"),
        ("tcp://localhost:9004", "tcp://127.0.0.1:9004"),
        ("tcp://[2001:DB8::1]:9004", "tcp://[2001:db8:0::1]:9004"),
        ("tcp://127.0.0.1:9004", "TCP port 9004 of 0.0.0.0"),
        ("UDP port 9004 of ::", "UDP port 9004 of 127.0.0.1"),
        ("UDP port 9004", "UDP port 9004 of 127.0.0.1"),
        ("ipc:///run/live", "ipc:///run/live"),
        ("file /data/a", "file /data/a"),
    ],
)
def test_what_cannot_be_had_together(one: str, other: str) -> None:
    assert Claim.of(one).excludes(Claim.of(other))
    assert Claim.of(other).excludes(Claim.of(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp://127.0.0.1:9004", "tcp://127.0.0.2:9004"),
        ("tcp://0.0.0.0:9004", "tcp://0.0.0.0:9005"),
        ("tcp://0.0.0.0:9004", "UDP port 9004 of 0.0.0.0"),
        ("tcp://eth0:9004", "tcp://127.0.0.1:9004"),
        ("ipc:///run/live", "ipc:///run/other"),
        ("file /data/a", "file /data/b"),
        ("port 9004", "UDP port 9004 of ::"),
    ],
)
def test_what_can_be_had_together(one: str, other: str) -> None:
    assert not Claim.of(one).excludes(Claim.of(other))
    assert not Claim.of(other).excludes(Claim.of(one))
