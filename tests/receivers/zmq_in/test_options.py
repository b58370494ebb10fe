"""Options of ZMQReceiver, as the station file's reader checks them."""

from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.errors import InvalidValue
from rawdaq.receivers.zmq_in.receiver import ZMQReceiver
from tests.helpers import ROOT
from tests.receivers.zmq_senders import STATION


def problems(**options: Any) -> str:
    return " ".join(mistake.text for mistake in read_options(ZMQReceiver, options, ROOT)[1])


GOOD = "tcp://127.0.0.1:9004"


def test_options_are_checked_before_anything_starts() -> None:
    for address in (GOOD, "tcp://*:9004", "tcp://[::1]:9004", "tcp://host.example:*", "ipc:///run/x"):
        assert problems(endpoints=[address]) == ""
    assert "missing" in problems()
    assert "at least 1 item" in problems(endpoints=[])
    for address in ("127.0.0.1:9004", "tcp://127.0.0.1:99999", "udp://127.0.0.1:9004"):
        assert "is not a zmq address" in problems(endpoints=[address])
    for host in ("300.1.1.1", "10.1", "my..host", "-a", "a_b*"):
        assert "is no host name or address" in problems(endpoints=[f"tcp://{host}:9004"])
    assert "there twice" in problems(endpoints=[GOOD, GOOD])
    wrong: list[dict[str, Any]] = [
        {"pattern": "pub"},
        {"bind": "yes"},
        {"high_water_mark": 0},
        {"max_message_mb": 0.0},
        {"array": {"stream": "HHZ"}},
        {"array": {"stream": "HHZ", "rate_hz": 100, "start": 1}},
        {"streams": "XX.*"},
    ]
    for options in wrong:
        assert problems(endpoints=[GOOD], **options) != "", options


ARRAY = {"stream": ["HHZ", "10.HHN"], "rate_hz": 100}


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"raw": True, "array": ARRAY}, "remove one"),
    ({"raw": True, "streams": ["XX.*"]}, "there are `topics`"),
    ({"array": ARRAY, "streams": ["XX.*"]}, "there are `topics`"),
    ({"raw": True, "topics": ["a"], "pattern": "pull"}, "a `pull` gets everything"),
    ({"topics": ["a"]}, "selected by `streams`"),
    ({"streams": ["XX.*", "HHZ"]}, "'HHZ' can name no stream"),
    ({"endpoints": [GOOD, "tcp://*:9004"]}, "name the machine to connect to"),
]


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_options_that_do_not_go_together_are_told(given: dict[str, Any], why: str) -> None:
    options, mistakes = read_options(ZMQReceiver, {"endpoints": [GOOD], **given}, ROOT)
    assert mistakes == []
    with pytest.raises(InvalidValue, match=why):
        ZMQReceiver.streams(STATION, options)
    with pytest.raises(InvalidValue, match=why):
        ZMQReceiver([], STATION, **options)


def test_streams_of_a_detector_are_known_from_the_options() -> None:
    options = read_options(ZMQReceiver, {"endpoints": [GOOD], "array": ARRAY}, ROOT)[0]
    assert [str(stream) for stream in ZMQReceiver.streams(STATION, options)] == ["XX.DEMO.00.HHZ", "XX.DEMO.10.HHN"]
    assert ZMQReceiver.streams(STATION, read_options(ZMQReceiver, {"endpoints": [GOOD]}, ROOT)[0]) == []


def test_the_addresses_that_it_binds_are_for_it_alone() -> None:
    def exclusive(*endpoints: str, bind: bool = True) -> list[str]:
        options = {"endpoints": list(endpoints), "bind": bind}
        return ZMQReceiver.exclusive(read_options(ZMQReceiver, options, ROOT)[0])

    assert exclusive(GOOD, "tcp://*:9005", "tcp://127.0.0.1:*") == [GOOD, "tcp://0.0.0.0:9005"]
    assert exclusive(GOOD, bind=False) == []
