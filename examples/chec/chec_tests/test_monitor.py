"""Reports of older programs: the documented bytes, what is none, and over a real socket."""

from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.messages.monitor import ComponentReport
from rawdaq_chec.monitor import ChecMonitorReceiver, decode, encode
from tests.event_receivers import EventKeeper, serving
from tests.helpers import until

EXAMPLE = bytes.fromhex("0a0b 0880f7c4d506 1080e59a77 820110 0a0454726967 10e724 1801 2500004841")
HEADER: dict[str, Any] = {
    "time_ns": 1_790_000_000_250_000_000,
    "name": "Trig",
    "pid": 4711,
    "data": True,
    "data_packets_per_s": 12.5,
}


def test_the_documented_report_is_read_and_written() -> None:
    assert len(EXAMPLE) == 32
    assert decode(EXAMPLE) == HEADER
    assert encode("Trig", 4711, HEADER["time_ns"], 12.5, has_data=True) == EXAMPLE


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("", "a report without a name"),
        ("0a0a 0880f7c4d506 1080e59a", "ends in the middle"),
        ("8201030a0201", "ends in the middle"),
        ("8201020801", "name is not bytes"),
        ("0a0c 08ffffffffffffffffff01", "ends in the middle"),
        ("0a0b 08ffffffffffffffffff01", "cannot be"),
        ("820103250000", "ends in the middle"),
    ],
)
def test_what_is_no_report_says_why(message: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        decode(bytes.fromhex(message))


def test_a_rate_that_is_no_number_is_none() -> None:
    report = decode(encode("a", 1, 0, float("nan"), has_data=False))
    assert (report["data_packets_per_s"], report["data"]) == (None, False)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_report_or_an_error_of_the_protocol(data: bytes) -> None:
    try:
        decode(data)
    except RemoteProtocolError:
        pass


async def test_programs_push_their_reports() -> None:
    keeper = EventKeeper()
    assert ChecMonitorReceiver.exclusive({"ip": "127.0.0.1", "port": 0}) == []
    async with serving(ChecMonitorReceiver([keeper], port=0)) as receiver:
        with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
            pusher.linger = 1000
            pusher.connect(receiver.endpoints[0].address)
            pusher.send(b"nonsense")
            pusher.send(EXAMPLE)
            await until(lambda: keeper.messages)
        assert receiver.receiver_status()["refused"] == 1
    (message,) = keeper.messages
    report = ComponentReport.from_message(message)
    assert (report.name, report.pid, report.has_data, report.packets_per_s) == ("Trig", 4711, True, 12.5)
    assert (message.topic, message.component) == ("~monitor", "Trig")
