"""Components are asked over kept sockets, of which there are not too many."""

import asyncio

import pytest

from rawdaq.control.machine import asking
from rawdaq.control.machine.asking import Asker
from rawdaq.errors import CommandError, NoAnswer
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.protocols.command import encode_error, encode_reply
from tests.control.machine.answering import Answering


@pytest.fixture(name="answering")
def _answering(runtime: RuntimeFiles) -> Answering:
    runtime.prepare()
    return Answering(runtime)


async def test_a_component_is_asked_over_one_socket_until_it_hangs(answering: Answering) -> None:
    asker = Asker(answering.runtime)
    replies = (encode_reply({"a": 1}), encode_error("no"), None, encode_reply(2), [b"nonsense"])
    task = asyncio.create_task(answering.answer(*replies))
    assert await asker.ask("XX.A.Demo", "status") == {"a": 1}
    kept = asker._kept["XX.A.Demo"]
    with pytest.raises(CommandError, match="no"):
        await asker.ask("XX.A.Demo", "status")
    assert asker._kept["XX.A.Demo"] is kept
    with pytest.raises(NoAnswer, match=r"did not answer 'status' within 0\.5 s"):
        await asker.ask("XX.A.Demo", "status", timeout_s=0.5)
    assert asker._kept == {}
    assert (await asker.timed("XX.A.Demo", "status"))[0] == 2
    answer, _ = await asker.timed("XX.A.Demo", "status")
    assert "sent an invalid reply" in str(answer)
    await task
    asker.forget("XX.A.Demo")
    assert asker._kept == {}
    asker.close()


async def test_sockets_that_are_kept_are_bounded(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_MOST_KEPT", 0)
    asker = Asker(answering.runtime)
    assert asker._most_kept == 8
    asker._most_kept = 0
    task = asyncio.create_task(answering.answer(encode_reply(1), encode_reply(2)))
    assert [await asker.ask("XX.A.Demo", "ping") for _ in range(2)] == [1, 2]
    assert asker._kept == {}
    await task
    asker.close()
