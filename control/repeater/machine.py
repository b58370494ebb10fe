"""The states of a repeater, and what each request does in each of them."""

import asyncio
import logging
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from rawdaq.control.repeater.config import Config, Mistaken
from rawdaq.control.repeater.config_file import FileReader
from rawdaq.control.repeater.run import Run
from rawdaq.control.repeater.values import OF_OUTPUT, SHARED
from rawdaq.control.rest.routes import Refused
from rawdaq.errors import RawdaqError
from rawdaq.publishers.repeater import WRITER, writer_mistakes, writer_run

_WRITER_KEYS = ("output_file", "run_id", "n_images", "detector_name", "user_id", "status")

Json = dict[str, Any]


class State(IntEnum):
    """What a repeater is doing; the numbers are those of the original."""

    INITIALIZED = 0
    RUNNING = 1
    ERROR = 2
    STOPPED = 3


class Repeater:
    """A repeater that requests configure, start and stop.

    Requests that change something are done one after the other. Each returns the keys of its answer, or raises
    `Refused`: with 409 when its state does not allow it, with 422 when what it says cannot be, with 503 when a start
    fails for a reason outside.

    Args:
        files: reads configuration files.
        is_compatible: whether keys that are not known are ignored, as the original does.
        log: where it is logged.

    Attributes:
        state: the state.
        config: the configuration in force.
        failed: set when a run has ended by itself.
    """

    def __init__(self, files: FileReader, log: logging.Logger, *, is_compatible: bool = False) -> None:
        self.state = State.STOPPED
        self.config = Config()
        self.failed = asyncio.Event()
        self._files = files
        self._log = log
        self._is_compatible = is_compatible
        self._error: str | None = None
        self._is_changed = False
        self._writer: Json = {}
        self._run: Run | None = None
        self._lock = asyncio.Lock()

    def begin(self, config: Config) -> None:
        """Have *config* in force, and the state in which a program begins."""
        self.config = config
        self.state = State.STOPPED

    # ------------------------------------------------------------------ what does not change anything

    async def alive(self) -> Json:
        """Return nothing: that there is an answer says it."""
        return {}

    async def get_state(self) -> Json:
        """Return the state, and in ERROR why."""
        return self._answer()

    async def get_status(self) -> Json:
        """Return state, configuration and counters; after a run those of its end."""
        counters = {} if self._run is None else self._run.counters()
        return self._answer() | {"config": self._shown(), "counters": counters}

    def _shown(self) -> Json:
        return self.config.shown() | {"config_changed": self._is_changed, "writer_config": self._writer}

    def _answer(self) -> Json:
        return {"state": self.shown_state} | ({"error": self._error} if self._error else {})

    @property
    def shown_state(self) -> list[Any]:
        """The state as answers have it."""
        return [self.state.name, int(self.state)]

    # ------------------------------------------------------------------ what changes something

    async def initialize(self) -> Json:
        """Read the file again unless a dictionary changed what it said, and check the whole."""
        async with self._lock:
            self._allow(State.INITIALIZED, State.ERROR, State.STOPPED)
            try:
                if self.config.values["config_file"] is not None and not self._is_changed:
                    self._read(self.config.values["config_file"])
                self.config.changed({})  # which checks the whole
            except Mistaken as error:
                raise self._mistaken(error) from error
            answer = self._prepared()
            return answer | {"config": self._shown()}

    async def set_config_from_dict(self, changes: Mapping[str, Any]) -> Json:
        """Change the keys that *changes* names, all of them or not one."""
        async with self._lock:
            self._allow(State.INITIALIZED, State.ERROR, State.STOPPED)
            try:
                known = {key: value for key, value in changes.items() if self._is_known(key)}
                if "config_file" in known and known["config_file"] is not None:
                    self._files.path(str(known["config_file"]))
                self.config = self.config.changed({key: value for key, value in known.items() if value is not None})
            except Mistaken as error:
                raise self._mistaken(error) from error
            self._is_changed = self._is_changed or bool(known)
            return self._prepared()

    def _is_known(self, key: str) -> bool:
        if key in (*SHARED, *OF_OUTPUT, "n_output_streams") or not self._is_compatible:
            return True
        self._log.warning("the key %s of a configuration is not known: ignored", key)
        return False

    async def set_config_from_file(self, body: Mapping[str, Any]) -> Json:
        """Read the file now; it replaces the whole configuration."""
        async with self._lock:
            self._allow(State.INITIALIZED, State.ERROR, State.STOPPED)
            name = body.get("config_file")
            try:
                if not isinstance(name, str) or not name:
                    raise Mistaken([f"config_file {name!r} is not the name of a file"])
                self._read(name)
            except Mistaken as error:
                raise self._mistaken(error) from error
            return self._prepared()

    def _read(self, name: str) -> None:
        self.config = self._files.read(name)
        self._is_changed = False
        for key in self._files.ignored:
            self._log.warning("the key %s of %s is not known: ignored", key, name)

    async def set_writer_config(self, given: Mapping[str, Any]) -> Json:
        """Take what the detector writer must know of the next run."""
        async with self._lock:
            self._allow(State.INITIALIZED, State.ERROR, State.STOPPED)
            if not self._has_writer:
                raise self._refused(409, f"no output has the header of the writer: call one {WRITER}")
            known = {key: value for key, value in given.items() if key in _WRITER_KEYS or not self._is_compatible}
            if mistakes := writer_mistakes(known):
                raise self._mistaken(Mistaken(mistakes))
            self._writer = known
            return self._prepared()

    @property
    def _has_writer(self) -> bool:
        return any(output.has_writer_header for output in self.config.outputs())

    async def start(self) -> Json:
        """Open everything, and begin to receive and to send."""
        async with self._lock:
            self._allow(State.INITIALIZED)
            writer = writer_run(self._writer) if self._has_writer else None
            run = Run(self.config, writer, self._fail, self._log)
            try:
                await run.start()
            except RawdaqError as error:
                self._enter(State.ERROR, str(error))
                raise self._refused(503, str(error)) from error
            self._run = run
            self._enter(State.RUNNING)
            return self._answer()

    async def stop(self) -> Json:
        """Send what waits, and close everything."""
        async with self._lock:
            self._allow(State.RUNNING, State.ERROR)
            await self._end_run()
            self._enter(State.STOPPED)
            return self._answer()

    async def aclose(self) -> None:
        """End the run, if there is one; call it before the program ends."""
        async with self._lock:
            await self._end_run()

    async def _end_run(self) -> None:
        if self._run is not None:
            await self._run.stop()
            self._writer = {} if self.state is State.RUNNING else self._writer

    # ------------------------------------------------------------------ states

    def _allow(self, *states: State) -> None:
        if self.state not in states:
            allowed = " or ".join(state.name for state in states)
            raise self._refused(409, f"the state is {self.state.name}; this is possible in {allowed}")

    def _prepared(self) -> Json:
        """Enter the state of a complete configuration; without what the writer must know it is not complete."""
        is_missing = self._has_writer and not self._writer
        self._enter(State.STOPPED if is_missing else State.INITIALIZED)
        return self._answer() | ({"missing": ["writer_config"]} if is_missing else {})

    def _enter(self, state: State, error: str | None = None) -> None:
        if error is not None:
            self._log.error("%s: %s", state.name, error)
        elif state is not self.state:
            self._log.info("%s", state.name)
        self.state, self._error = state, error

    def _fail(self, reason: str) -> None:
        """A run has ended by itself."""
        self._writer = {}
        self._enter(State.ERROR, reason)
        self.failed.set()

    def _mistaken(self, error: Mistaken) -> Refused:
        """Enter ERROR because of a configuration that cannot be; the one before stays in force."""
        self._enter(State.ERROR, str(error))
        return self._refused(422, str(error), error.mistakes)

    def _refused(self, status: int, text: str, mistakes: list[str] | None = None) -> Refused:
        return Refused(status, text, {"state": self.shown_state} | ({"mistakes": mistakes} if mistakes else {}))
