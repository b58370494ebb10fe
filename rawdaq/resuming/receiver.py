"""`ResumingReceiver`: reads a server, and goes on after a restart where everything had been delivered."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from rawdaq.delivery.records import fill_s
from rawdaq.disk.threads import in_new_thread
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.resuming.positions_file import PositionsFile, load_positions

_SAVE_S = 5.0  # between two writings of the positions


class Resumable(Protocol):
    """What comes from a server, over all connections.

    Attributes:
        positions: how far everything was received.
        lowest_rate_hz: of all streams so far, at most 100 Hz.
    """

    positions: Any
    lowest_rate_hz: float

    def load(self, positions: Any) -> None:
        """Go on where an earlier run ended."""


AnyFeed = TypeVar("AnyFeed", bound=Resumable)


class ResumingReceiver(ReceiverServer, Generic[AnyFeed]):
    """Keeps in a file how far everything was delivered. After a kill it is behind, so that nothing is missing.

    Subclasses have a `feed`, and call `note_progress` when something was published.

    Args:
        host: where the server listens.
        port: its port.
        publishers: where the packets go.
        name: the component's name.
        state: the file; None: a restart begins anew.
        model: what is in it.
        server: whose positions these are, such as ``a SeedLink server``.
    """

    feed: AnyFeed

    def __init__(
        self,
        host: str,
        port: int,
        publishers: Sequence[Publisher],
        name: str,
        state: Path | None,
        model: type[BaseModel],
        server: str,
    ) -> None:
        super().__init__(host, port, publishers, name)
        self.stats.behind_s = inf  # a server has packets of days ago
        self.stats.has_stamps = False  # packets keep the times that they have
        self._file = PositionsFile(state, self.log) if state else None
        self._model, self._server = model, server
        self._has_new = asyncio.Event()

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the file of the state, which only one component can write."""
        return [f"file {options['state']}"] if options["state"] else []

    @classmethod
    def only_subscribes(cls, options: Mapping[str, Any]) -> bool:
        """Return that it reads what a server has."""
        return True

    async def _open(self) -> None:
        if self._file is not None:
            read = partial(load_positions, self._file.path, self._model, self._server)
            self.feed.load(await in_new_thread("reading positions", read))
        await super()._open()

    async def serve(self) -> None:
        """Serve as every receiver does, from where the last run ended.

        Raises:
            ComponentError: the file of the state cannot be read, it could not start, or one of its coroutines failed.
        """
        await super().serve()
        await self._save(self._positions())  # all is delivered: the next run goes on behind it

    async def ct_save(self) -> None:
        """Write how far everything was delivered, again and again."""
        if self._file is None:
            self.log.info("without `state` a restart begins as `start` says")
            return
        while True:
            await self._has_new.wait()
            self._has_new.clear()
            positions = self._positions()
            await self.delivered()
            await asyncio.sleep(max(fill_s(self.publishers, self.feed.lowest_rate_hz), _SAVE_S))
            await self.delivered()
            await self._save(positions)

    def note_progress(self) -> None:
        """Take note that there is more to be written."""
        self._has_new.set()

    @property
    def state_failure(self) -> str | None:
        """Why the file was not written the last time; None if it was, or there is none."""
        return self._file.failure if self._file is not None else None

    def _positions(self) -> bytes:
        positions: BaseModel = self.feed.positions
        return positions.model_dump_json(indent=1).encode()

    async def _save(self, positions: bytes) -> None:
        if self._file is not None:
            await self._file.write(positions)
