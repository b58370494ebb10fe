"""Log records without lengths between them: joined, cut anywhere, incomplete, and over a real connection."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import RemoteProtocolError
from rawdaq.messages.log import LogRecord
from rawdaq_chec.logs import MAX_RECORD_BYTES, ChecLogReceiver, LogRecords, encode
from rawdaq_chec.protobuf import bytes_field, number_field
from tests.event_receivers import EventKeeper, serving
from tests.helpers import until

EXAMPLE = bytes.fromhex(
    "0800 1014 1a086461712e74726967 220773746172746564 288080cc9fc2f0d6eb18 30e724 3a04742e7079 400c"
)
RECORD = LogRecord(1_790_000_000_000_000_000, 20, "daq.trig", "started", pid=4711, file="t.py", line=12)


def records_of(data: bytes, size: int = 1000) -> list[LogRecord]:
    made = LogRecords()
    found = [each for at in range(0, len(data), size) for each in made.receive_data(data[at : at + size])]
    last = made.receive_eof()
    return found if last is None else [*found, last]


def test_the_documented_record_is_read_and_written() -> None:
    assert len(EXAMPLE) == 44
    assert encode(RECORD) == EXAMPLE
    assert records_of(EXAMPLE) == [RECORD]


@pytest.mark.parametrize("size", [1, 2, 5, 44, 100_000])
def test_records_that_were_joined_come_apart_wherever_the_stream_is_cut(size: int) -> None:
    records = [replace(RECORD, message="x" * number, line=number) for number in range(50)]
    more = bytes_field(9, b"here") + bytes_field(10, b"geoid") + number_field(11, 5) + number_field(12, 6)
    data = b"".join(encode(record) + (more if record.line % 3 else b"") for record in records)
    assert records_of(data, size) == records


def test_the_newest_record_is_whole_when_nothing_more_comes() -> None:
    made = LogRecords()
    assert list(made.receive_data(EXAMPLE[:-1])) == []
    assert made.take_quiet() is None
    assert list(made.receive_data(EXAMPLE[-1:])) == []
    assert made.take_quiet() == RECORD
    assert made.take_quiet() is None
    assert made.receive_eof() is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (EXAMPLE[:-1], "the message ends in the middle of a field"),
        (EXAMPLE[:-2], "a record without field 8"),
        (b"\0", "a field has number 0"),
        (EXAMPLE + number_field(2, 1), "a record without field 1"),
        (bytes_field(1, b"x") + number_field(1, 1), "a record without field 2"),
        (EXAMPLE.replace(b"\x28\x80\x80\xcc", b"\x2a\x01a\x30\x00"), "field"),
        (b"\x22\xff\xff\xff\x7f" + bytes(MAX_RECORD_BYTES + 1), "a field of more than 65536 bytes"),
        (encode(replace(RECORD, time_ns=1 << 63)), "time of 9223372036854775808 ns cannot be"),
    ],
)
def test_what_is_no_record_says_why(data: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        records_of(data, 1_000_000)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_records_or_an_error_of_the_protocol(data: bytes, size: int) -> None:
    try:
        records_of(data, size)
    except RemoteProtocolError:
        pass


async def test_programs_send_records_by_tcp() -> None:
    keeper = EventKeeper()
    assert ChecLogReceiver.exclusive({"ip": "::1", "port": 5}) == ["TCP port 5 of ::1"]
    async with serving(ChecLogReceiver([keeper], port=0)) as receiver:
        port = receiver.endpoints[0].port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(3 * EXAMPLE + EXAMPLE[:7])
        await until(lambda: len(keeper.messages) == 3)
        writer.write(EXAMPLE[7:])
        await until(lambda: len(keeper.messages) == 4)  # though the connection stays open
        writer.write(b"\0")
        await until(lambda: receiver.refusals.by_reason["malformed"])
        writer.close()
        with contextlib.suppress(ConnectionResetError):  # the receiver has given it up
            await writer.wait_closed()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(EXAMPLE)
        writer.close()
        await writer.wait_closed()
        await until(lambda: len(keeper.messages) == 5)
        assert receiver.receiver_status()["refused"] == 1
    assert [LogRecord.from_message(message) for message in keeper.messages] == [RECORD] * 5
    assert {message.topic for message in keeper.messages} == {"~log"}
