"""What a viewer of ``/live`` is told about what it was too slow for."""

import asyncio
import json
from typing import Any, cast

import pytest

from rawdaq.control.rest.client import Client
from rawdaq.control.web.live import viewer as viewer_module
from rawdaq.control.web.live.track import Past
from rawdaq.control.web.live.viewer import Viewer
from tests.helpers import until


class Slow:
    """A client that takes a message when it may."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []
        self.may = asyncio.Semaphore(0)
        self.waits = False

    async def send(self, data: str | bytes) -> None:
        self.waits = True
        await self.may.acquire()
        self.waits = False
        self.got.append(data)


class Overwritten:
    """A past of which all was overwritten meanwhile."""

    def blocks(self) -> list[bytes]:
        return []

    def lost_s(self) -> float:
        return 12.5


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_skipped_while_that_is_told_is_told_before_what_follows_and_never_as_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(viewer_module, "_MAX_WAITING_BYTES", 10)
    viewer, client = Viewer(), Slow()
    sending = asyncio.create_task(viewer.send_all(cast(Client, client)))
    viewer.offer(b"first", 1.0)
    await until(lambda: client.waits)
    viewer.offer(b"second....", 0.0001)  # two flushes in a row
    viewer.offer(b"third.....", 0.1)
    client.may.release()
    await until(lambda: client.got == [b"first"] and client.waits)
    viewer.offer(b"fourth....", 0.1)
    for _ in range(3):
        client.may.release()
    await until(lambda: len(client.got) == 4)
    assert [json.loads(each) if isinstance(each, str) else each for each in client.got] == [
        b"first",
        {"skipped_s": 0.001},
        {"skipped_s": 0.1},
        b"fourth....",
    ]
    await ended(sending)


async def test_what_was_lost_of_the_past_is_told_although_nothing_follows() -> None:
    viewer, client = Viewer(), Slow()
    client.may.release()
    sending = asyncio.create_task(viewer.send_all(cast(Client, client)))
    viewer.tell(cast(Past, Overwritten()))
    await until(lambda: client.got)
    assert [json.loads(each) for each in client.got] == [{"skipped_s": 12.5}]
    await ended(sending)
