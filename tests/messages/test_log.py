"""Log records: what may be in one, what a line of text says, and what comes on a connection in any pieces."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.messages.frames import decode, encode
from rawdaq.messages.log import LogRecord
from rawdaq.messages.log_lines import MAX_LINE_BYTES, NOT_PICKLE, LogLines, Refused
from rawdaq.protocols.message_errors import MessageMalformed

NOW_NS = 1795219200123000000
FULL = LogRecord(NOW_NS, 30, "daq.x", "text é", "XX.DEMO.T", "host", 4711, "t.py", 12, "Traceback\n  File\nError: x")


def fed(data: bytes, size: int) -> list[LogRecord | Refused]:
    lines = LogLines()
    found = [event for at in range(0, len(data), size) for event in lines.receive_data(data[at : at + size], NOW_NS)]
    return [*found, *lines.receive_eof()]


@pytest.mark.parametrize("record", [FULL, LogRecord(1, 17, "", "m")])
def test_a_record_is_a_message_and_back(record: LogRecord) -> None:
    message = decode(encode(record.message_of().published(3, "Logs", NOW_NS)))
    assert LogRecord.from_message(message) == record
    assert ("exception" in message.header) == bool(record.exception)


def test_only_the_text_must_be_there() -> None:
    assert LogRecord.from_header({"message": "m", "new": [1], "file": None, "pid": None}, NOW_NS) == LogRecord(
        NOW_NS, 20, "", "m"
    )


@pytest.mark.parametrize(("given", "level"), [("warning", 30), ("FATAL", 50), (17, 17), (0, 0)])
def test_levels_are_numbers_or_pythons_words(given: object, level: int) -> None:
    assert LogRecord.from_header({"message": "", "level": given}).level == level


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("message", 5),
        ("name", ["x"]),
        ("level", -1),
        ("level", "loud"),
        ("level", True),
        ("level", 10**7),
        ("time_ns", 1.5),
        ("time_ns", -1),
        ("time_ns", 1 << 63),
        ("pid", "1"),
        ("line", 1 << 63),
    ],
)
def test_a_wrong_value_is_told_by_name(key: str, value: object) -> None:
    with pytest.raises(MessageMalformed, match=f"'{key}' is"):
        LogRecord.from_header({"message": "m", key: value})


def test_a_record_without_text_is_none() -> None:
    with pytest.raises(MessageMalformed, match="'message' is missing"):
        LogRecord.from_header({"level": 20})


def test_text_is_one_line_and_a_traceback_is_indented() -> None:
    assert FULL.text().splitlines() == [
        "2026-11-21T00:00:00.123Z WARNING daq.x [XX.DEMO.T] text é",
        "    Traceback",
        "      File",
        "    Error: x",
    ]
    assert LogRecord(NOW_NS, 20, "a\n", "b\x1b[31m\r\nc").text() == (
        "2026-11-21T00:00:00.123Z INFO a\\n b\\x1b[31m\\r\\nc"
    )
    assert LogRecord(NOW_NS, 20, "", "door open").text() == "2026-11-21T00:00:00.123Z INFO door open"


LINES: list[tuple[bytes, list[LogRecord | str]]] = [
    (b"", []),
    (b"\n \r\n", []),
    (b'{"message":"a"}\n{"message":"b"}\r\n', [LogRecord(NOW_NS, 20, "", "a"), LogRecord(NOW_NS, 20, "", "b")]),
    (b'garbage\n{"message":"a"}\n', ["unreadable header", LogRecord(NOW_NS, 20, "", "a")]),
    (b'{"level":5}\n', ["wrong header"]),
    (b"[1]\n\xff\n", ["unreadable header", "unreadable header"]),
    (b'{"message":"a"}', ["cut line"]),
    (b"x" * (MAX_LINE_BYTES + 1) + b'\n{"message":"a"}\n', ["line too long", LogRecord(NOW_NS, 20, "", "a")]),
    (b"x" * 3 * MAX_LINE_BYTES + b'\n{"message":"a"}\n', ["line too long", LogRecord(NOW_NS, 20, "", "a")]),
    (b"x" * 3 * MAX_LINE_BYTES, ["line too long"]),
    (b"\x00\x00\x01\x00\x80\x04anything\n" + b'{"message":"a"}\n', ["a pickle"]),
    (b"\x00\x00\x01\x00}q\x00(", ["a pickle"]),
    (b"\x00\x00\x01", ["cut line"]),
    (b"\x00\x00\x01\x00\x7f\n", ["unreadable header"]),
]


@pytest.mark.parametrize(("data", "expected"), LINES)
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_lines_come_in_any_pieces(data: bytes, expected: list[LogRecord | str], size: int) -> None:
    if size == 1 and len(data) > MAX_LINE_BYTES:
        size = 4093
    assert [each.reason if isinstance(each, Refused) else each for each in fed(data, size)] == expected


def test_a_line_may_have_64_kib() -> None:
    text = "x" * (MAX_LINE_BYTES - len('{"message":""}'))
    (record,) = fed(json.dumps({"message": text}, separators=(",", ":")).encode() + b"\n", 10_000)
    assert record == LogRecord(NOW_NS, 20, "", text)


def test_a_pickle_is_refused_with_what_to_use_instead_and_nothing_more_is_read() -> None:
    lines = LogLines()
    (refused,) = lines.receive_data(b"\x00\x00\x01\x00\x80\x04", NOW_NS)
    assert refused == Refused("a pickle", NOT_PICKLE, is_last=True)
    assert list(lines.receive_data(b'{"message":"a"}\n', NOW_NS)) == []
    assert list(lines.receive_eof()) == []


def test_10_000_records_in_random_chunks_come_each_once_and_in_order() -> None:
    random_numbers = random.Random(5)
    texts = [f"{number} " + "y" * random_numbers.randrange(200) for number in range(10_000)]
    data = b"".join(json.dumps({"message": text}).encode() + b"\n" for text in texts)
    lines, found, at = LogLines(), list[Any](), 0
    while at < len(data):
        size = random_numbers.randrange(1, 5000)
        found += lines.receive_data(data[at : at + size], NOW_NS)
        at += size
    assert [each.message for each in found] == texts


@given(st.lists(st.binary(max_size=300) | st.just(b'{"message":"x"}\n'), max_size=20))
def test_anything_may_come(chunks: list[bytes]) -> None:
    lines = LogLines()
    for chunk in chunks:
        for event in lines.receive_data(chunk, NOW_NS):
            assert isinstance(event, LogRecord | Refused)
    assert len(list(lines.receive_eof())) <= 1
