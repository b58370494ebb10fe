"""What devices say to the doctor, which starts none of them."""

import asyncio

import pytest

from rawdaq.control.doctor.probe import Probe, probe
from tests.fake_device import Described, Session, fake_device
from tests.helpers import closed_port, until


async def asked(session: Session) -> list[str]:
    """Answer the handshake up to START, as a device does; return what was asked."""
    heard = [await session.line()]
    session.writer.write(b"RAW 2.0\n")
    while (word := await session.reader.readline()) == b"CHANNEL\n":
        heard.append(await session.line())
        rate, order, kind = Described()
        session.writer.write(f"SAMPLING RATE\n{rate}\nSAMPLE ENDIANNESS\n{order}\nSAMPLE TYPE\n{kind}\n".encode())
    return [*heard, word.decode()]


async def ask(port: int, channels: list[int] | None, timeout_s: float = 10.0, version: str = "auto") -> Probe:
    return await asyncio.to_thread(probe, "127.0.0.1", port, channels, timeout_s, version)


async def test_a_device_is_asked_for_its_channels_and_not_started() -> None:
    heard: list[list[str]] = []

    async def play(session: Session) -> None:
        heard.append(await asked(session))

    async with fake_device(play) as port:
        found = await ask(port, [1, 7])
        await until(lambda: heard)
    assert heard == [["RAW 2.0", "1", "7", ""]]
    assert found == Probe(f"127.0.0.1:{port}", version="2.0", described=[1, 7])


async def test_an_older_device_is_asked_for_its_version_again() -> None:
    async def play(session: Session) -> None:
        await session.handshake({1: Described()}, version="1.0")

    async with fake_device(play) as port:
        found = await ask(port, [1])
        assert (found.version, found.described, found.failure) == ("1.0", [1], None)
        refused = await ask(port, [1], version="2.0")
        assert refused.failure == "the device was asked for RAW 2.0 and closed the connection"


async def test_a_channel_that_a_device_does_not_know_is_named() -> None:
    async def play(session: Session) -> None:
        await session.handshake({1: Described()})

    async with fake_device(play) as port:
        found = await ask(port, [1, 7])
    assert found.described == [1]
    assert found.failure is not None
    assert "CHANNEL 7 was requested: the device does not know it" in found.failure


async def test_what_speaks_another_protocol_is_told() -> None:
    async def play(session: Session) -> None:
        await session.line()
        session.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with fake_device(play) as port:
        found = await ask(port, [1])
    assert found.version is None
    assert found.failure == "the device was asked for RAW 1.0 and answered 'HTTP/1.1 400 Bad Request\\r'"


@pytest.mark.parametrize(("answer", "reason"), [(b"", "its version"), (b"RAW 2.0\n", "channel 1")])
async def test_a_device_that_says_nothing_is_given_up(answer: bytes, reason: str) -> None:
    async def play(session: Session) -> None:
        session.writer.write(answer)
        await session.until_closed()

    async with fake_device(play) as port:
        found = await ask(port, [1], timeout_s=1.0)
    assert found.failure == f"it does not answer when it is asked for {reason}"


async def test_other_devices_are_only_connected_to() -> None:
    heard: list[bytes] = []

    async def play(session: Session) -> None:
        heard.append(await session.reader.read())

    async with fake_device(play) as port:
        assert await ask(port, None) == Probe(f"127.0.0.1:{port}")
        await until(lambda: heard)
    assert heard == [b""]


def test_what_cannot_be_reached_is_told_with_the_reason() -> None:
    with closed_port() as port:
        assert probe("127.0.0.1", port, [1], 5.0).unreachable == (
            "nothing listens there: is the other side on, and are host and port right?"
        )
    assert "host name" in (probe("a" * 70, port, [1], 5.0).unreachable or "")
