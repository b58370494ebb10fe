"""Events, telemetry and readouts are read as their receivers publish them; what is wrong is told by name."""

from typing import Any

import numpy as np
import pytest

from rawdaq.messages.frames import decode, encode
from rawdaq.messages.message import Message
from rawdaq.messages.values import ReadoutArray, ReceivedEvent, Telemetry
from rawdaq.protocols.message_errors import MessageMalformed
from tests.makers import START_NS, message


def sent(topic: str, header: dict[str, Any], payload: bytes = b"") -> Message:
    return decode(encode(Message(topic, header, payload).published(12, "Name", START_NS)))


EVENT: dict[str, Any] = {
    "type": "trigger",
    "time_ns": None,
    "ps": 250,
    "device_ns": -5,
    "source": "192.0.2.1/3",
    "counter": 41,
    "missed": 2,
    "backwards": True,
    "fields": {"errors": 2, "union": [0, 9]},
}


def test_an_event_is_what_its_receiver_knew() -> None:
    made = sent("~event.XX.DEMO.Name", EVENT, b"\xfe\xca")
    assert ReceivedEvent.from_message(made) == ReceivedEvent(
        "Name", "trigger", None, 250, -5, "192.0.2.1/3", 41, 2, True, {"errors": 2, "union": [0, 9]}, b"\xfe\xca"
    )
    assert ReceivedEvent.from_message(sent("~event", {})) == ReceivedEvent("Name", "", None)


@pytest.mark.parametrize(
    ("key", "value"), [("type", 5), ("time_ns", "now"), ("ps", 1000), ("missed", -1), ("fields", []), ("counter", 1.0)]
)
def test_what_is_wrong_in_an_event_is_told(key: str, value: object) -> None:
    with pytest.raises(MessageMalformed, match=f"'{key}' is"):
        ReceivedEvent.from_message(sent("~event", EVENT | {key: value}))


def test_telemetry_has_values_and_units() -> None:
    header = {"time_ns": 5, "values": {"t": 21.5, "gone": None}, "units": {"t": "degC"}}
    made = Telemetry.from_message(sent("~telemetry.XX.DEMO.SOH", header))
    assert made == Telemetry("Name", 5, {"t": 21.5, "gone": None}, {"t": "degC"})
    assert Telemetry.from_message(sent("~telemetry", {})) == Telemetry("Name", START_NS, {})


DATA = np.arange(6, dtype="<f4").reshape(2, 3)
READOUT: dict[str, Any] = {
    "htype": "array-1.0",
    "type": "float32",
    "shape": [2, 3],
    "encoding": "little",
    "number": 13,
    "epoch": 1,
    "time_ns": 1_000_000_000,
    "slots": [0, 2],
    "expected": 3,
    "reason": "timer",
    "unit": "mV",
    "scale": 1,
    "offset": 0,
}


def readout(payload: bytes = DATA.tobytes(), **changes: Any) -> ReadoutArray:
    return ReadoutArray.from_message(sent("~readout.XX.ARRAY.Name", READOUT | changes, payload))


def test_a_readout_has_its_array_and_rows_by_slot() -> None:
    made = readout(late=True)
    assert np.array_equal(made.data, DATA)
    assert not made.data.flags.writeable
    assert (made.number, made.epoch, made.time_ns, made.received_ns) == (13, 1, 1_000_000_000, START_NS)
    assert (made.slots, made.expected, made.reason, made.is_late) == ((0, 2), 3, "timer", True)
    assert (made.unit, made.scale, made.offset) == ("mV", 1.0, 0.0)
    row = made.row(2)
    assert row is not None
    assert row.tolist() == [3.0, 4.0, 5.0]
    assert made.row(1) is None


def test_where_all_rows_are_there_the_slot_is_the_row() -> None:
    full = np.full((3, 3), np.nan, "<f4")
    full[[0, 2]] = DATA
    row = readout(full.tobytes(), shape=[3, 3]).row(2)
    assert row is not None
    assert row.tolist() == [3.0, 4.0, 5.0]
    assert readout(b"", shape=[0, 3], slots=[]).data.shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": [6]}, "'shape' is"),
        ({"shape": [1, 6]}, "'shape' is"),
        ({"shape": [2, 4]}, "the header announces 32"),
        ({"slots": [2, 0]}, "'slots' is"),
        ({"slots": None}, "'slots' is"),
        ({"slots": [0, -1]}, "'slots' is"),
        ({"number": "x"}, "'number' is"),
        ({"scale": "x"}, "'scale' is"),
        ({"type": "object"}, "'type' is"),
        ({"htype": "image"}, "'htype' is"),
    ],
)
def test_what_is_wrong_in_a_readout_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(MessageMalformed, match=told):
        readout(**changes)


def test_a_message_that_is_no_readout_is_refused() -> None:
    with pytest.raises(MessageMalformed):
        ReadoutArray.from_message(message().published(0, "T", 1))
