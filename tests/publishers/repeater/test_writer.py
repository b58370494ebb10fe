"""An output for the detector writer: its own numbers, exactly two parts, and the file's end where that is asked."""

import json
from typing import Any

import pytest

from rawdaq.errors import CommandError, InvalidValue
from rawdaq.multipart import Multipart
from rawdaq.publishers.repeater import WRITER, RepeaterPublisher, writer_mistakes, writer_run
from tests.helpers import until
from tests.makers import packet
from tests.publishers.repeater.outputs import connected, consumer, frame, opened, received

RUN: dict[str, Any] = {"output_file": "/data/run7.h5", "run_id": 7, "n_images": 3, "detector_name": "camera"}


def begun(output: RepeaterPublisher, **changes: Any) -> None:
    assert output.writer is not None
    output.writer.begin(writer_run(RUN | changes))


def headers(messages: list[list[bytes]]) -> list[Any]:
    return [json.loads(message[0]) for message in messages]


async def test_frames_are_numbered_by_what_the_output_sends(context: Any) -> None:
    async with opened(parameter=2, name=WRITER) as output:
        begun(output)
        with consumer(context, output.address) as taker:
            await connected(output)
            await output.deliver([frame(number, b"%d" % number, b"more", extra=number) for number in range(10)])
            messages = await received(taker, 5)
            assert output.status()["extra_parts"] == 5
    assert [message[1:] for message in messages] == [[b"%d" % number] for number in (0, 2, 4, 6, 8)]
    for index, header in enumerate(headers(messages)):
        assert (header["frame"], header["i_image"], header["image_attributes"]) == (
            index,
            index,
            {"image_number": index},
        )
        assert (header["extra"], header["source"], header["n_images"], header["user_id"]) == (2 * index, "bench", 3, 0)


async def test_what_was_dropped_takes_no_image_number(context: Any) -> None:
    async with opened(header=WRITER, buffer_size=2) as output:
        begun(output)
        await output.deliver([frame(number) for number in range(10, 20)])
        with consumer(context, output.address) as taker:
            assert [header["i_image"] for header in headers(await received(taker, 2))] == [0, 1]


@pytest.mark.parametrize(
    ("end", "expected", "after_end"), [("forward", [0, 1, 2, 3, 4], 0), ("close", [0, 1, 2, 3], 2)]
)
async def test_the_end_of_the_file(context: Any, end: Any, expected: list[int], after_end: int) -> None:
    async with opened(header=WRITER, n_images_end=end) as output:
        begun(output)
        with consumer(context, output.address) as taker:
            await connected(output)
            await output.deliver([frame(number, b"data") for number in range(5)])
            messages = await received(taker, len(expected))
            await until(lambda: output.status()["waiting"] == 0)
            shown = output.status()
    assert [header["i_image"] for header in headers(messages)] == expected
    assert messages[-1][1] == (b"" if end == "close" else b"data")
    assert (shown["after_end"], shown["sent"]) == (after_end, 5 - after_end)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (Multipart([b'{"frame":1}'], 11, 1, {"frame": 1}), "no data"),
        (Multipart([bytes(56), b""], 56, 1), "header that cannot be rewritten"),
        (frame(1, image_attributes=[]), "header that cannot be rewritten"),
    ],
)
async def test_a_frame_that_the_writer_cannot_read_is_refused_for_it_alone(
    context: Any, refused: Multipart, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(name=WRITER) as output, opened() as plain:
        begun(output)
        for each in output, plain:
            await each.deliver([refused, frame(2)])
        with consumer(context, output.address) as taker, consumer(context, plain.address) as other:
            assert headers(await received(taker, 1))[0]["i_image"] == 0
            assert len(await received(other, 2)) == 2
        assert (output.status()["refused"], output.status()["selected"]) == (1, 1)
    assert any(reason in line for line in caplog.messages)


async def test_without_the_run_frames_are_refused_and_the_command_says_it(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(name=WRITER) as output:
        await output.deliver([frame(1)])
        assert (output.status()["refused"], output.status()["n_images"]) == (1, None)
        words = ["output_file=/data/a b.h5", "run_id=7", "n_images=3", "detector_name=camera"]
        assert "/data/a b.h5" in str(output.cmd_writer(words))
        await output.deliver([frame(2)])
        assert (output.status()["refused"], output.status()["n_images"]) == (1, 3)
        with pytest.raises(InvalidValue, match="n_images 'x' is not a whole number from 1"):
            output.cmd_writer([*words, "n_images=x"])
    assert any("no writer configuration" in line for line in caplog.messages)


async def test_another_output_has_no_such_command() -> None:
    async with opened() as output:
        with pytest.raises(CommandError, match="set header: std-det-writer"):
            output.cmd_writer([])


async def test_a_packet_is_a_frame_for_the_writer_too(context: Any) -> None:
    async with opened(name=WRITER) as output:
        begun(output)
        with consumer(context, output.address) as taker:
            await connected(output)
            await output.deliver([packet(sequence=5)])
            (message,) = await received(taker, 1)
    assert (headers([message])[0]["i_image"], message[1]) == (0, bytes(packet().data))


async def test_a_header_that_is_too_long_for_some_writers_is_logged_once(
    context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(name=WRITER) as output:
        begun(output)
        with consumer(context, output.address) as taker:
            await connected(output)
            await output.deliver([frame(number, comment="x" * 400) for number in range(3)])
            await received(taker, 3)
    assert sum("writers that read only 512 of them fail" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("key", RUN)
def test_each_key_is_needed(key: str) -> None:
    assert writer_mistakes({name: value for name, value in RUN.items() if name != key}) == [f"{key} is missing"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"output_file": ""}, "output_file '' is not a text"),
        ({"detector_name": 1}, "detector_name 1 is not a text"),
        ({"run_id": -1}, "run_id -1 is not a whole number from 0 to 2147483647"),
        ({"run_id": True}, "run_id True is not"),
        ({"n_images": 0}, "n_images 0 is not a whole number from 1"),
        ({"n_images": 1 << 31}, "n_images 2147483648 is not"),
        ({"user_id": None}, "user_id None is not"),
        ({"status": 1.5}, "status 1.5 is not"),
        ({"colour": 1}, "colour is not a key of the writer; known: output_file"),
    ],
)
def test_each_wrong_value_is_named_with_what_would_be_right(changes: dict[str, Any], text: str) -> None:
    (mistake,) = writer_mistakes(RUN | changes)
    assert mistake.startswith(text)


def test_every_mistake_is_reported_at_once() -> None:
    assert len(writer_mistakes({"run_id": "x", "a": 1})) == 5
