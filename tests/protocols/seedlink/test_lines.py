import pytest

from rawdaq.protocols.seedlink.errors import CommandTooLong, ReplyWrong
from rawdaq.protocols.seedlink.lines import (
    MAX_COMMAND_BYTES,
    MAX_COMMAND_FLOOD_BYTES,
    MAX_REPLY_BYTES,
    CommandLine,
    CommandReader,
    find_reply,
)


def lines_of(data: bytes, size: int) -> list[CommandLine]:
    reader, found = CommandReader(), list[CommandLine]()
    for at in range(0, len(data), size):
        chunk, position = data[at : at + size], 0
        while True:
            line, position = reader.take(chunk, position)
            if line is None:
                break
            found.append(line)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 4096])
def test_lines_end_with_cr_lf_or_both_and_empty_ones_are_left_out(size: int) -> None:
    data = b"HELLO\r\nSTATION AAA XX\rSELECT HHZ\nEND\r\r\n\n\r\nBYE\r\nrest"
    assert [line.text for line in lines_of(data, size)] == [
        b"HELLO",
        b"STATION AAA XX",
        b"SELECT HHZ",
        b"END",
        b"BYE",
    ]


@pytest.mark.parametrize("size", [1, 1000, 1 << 16])
def test_a_line_that_is_too_long_is_cut_and_says_so(size: int) -> None:
    longest = b"A" * MAX_COMMAND_BYTES
    longer = b"B" * MAX_COMMAND_FLOOD_BYTES
    assert lines_of(longest + b"\r\n" + longer + b"\r\nC\r\n", size) == [
        CommandLine(longest, True),
        CommandLine(longer[:MAX_COMMAND_BYTES], False),
        CommandLine(b"C", True),
    ]


@pytest.mark.parametrize("size", [1000, 1 << 16])
def test_a_flood_without_a_line_end_is_refused(size: int) -> None:
    with pytest.raises(CommandTooLong, match="more than 16384 bytes"):
        lines_of(b"A" * (MAX_COMMAND_FLOOD_BYTES + 1), size)


def test_a_reader_holds_the_beginning_of_one_line_at_most() -> None:
    reader = CommandReader()
    reader.take(b"A" * MAX_COMMAND_FLOOD_BYTES, 0)
    assert len(reader.held) == MAX_COMMAND_BYTES


def test_a_reply_ends_with_cr_lf_and_not_before() -> None:
    data = b"OK\r\nERROR\rARGUMENTS no\r\nO"
    assert find_reply(data, 0) == 2
    assert find_reply(data, 4) == 22
    assert find_reply(data, 24) is None


def test_a_reply_without_an_end_is_refused() -> None:
    assert find_reply(b"A" * (MAX_REPLY_BYTES - 1), 0) is None
    with pytest.raises(ReplyWrong, match="where a line was expected"):
        find_reply(b"A" * MAX_REPLY_BYTES, 0)
