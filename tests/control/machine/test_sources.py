"""Where live data come from: a publisher is read where this machine reaches it."""

from typing import Any

import pytest

from rawdaq.control.machine.sources import live_address

ZMQ = {"class": "ZMQTCPPublisher", "state": "running", "mode": "local"}


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ({**ZMQ, "address": "tcp://127.0.0.1:9"}, "tcp://127.0.0.1:9"),
        ({**ZMQ, "address": "tcp://0.0.0.0:9"}, "tcp://127.0.0.1:9"),
        ({**ZMQ, "address": "tcp://[::]:9"}, "tcp://[::1]:9"),
        ({**ZMQ, "address": "tcp://192.0.2.1:9", "mode": "remote"}, None),
        ({**ZMQ, "address": "tcp://127.0.0.1:9", "state": "paused"}, None),
        ({"class": "MiniSeedPublisher", "state": "running", "path": "/x"}, None),
        ({"class": "ZMQPublisher", "state": "running", "type": "PUB", "address": "tcp://*:9"}, None),  # a key?
    ],
)
def test_a_live_publisher_is_read_where_this_machine_reaches_it(said: Any, address: str | None) -> None:
    assert live_address(said, "live", None) == address
