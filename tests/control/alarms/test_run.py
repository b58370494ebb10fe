"""The watch as a whole: one dead target holds up none, what fails is tried again with a bound, and the command."""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.alarms import outlet as outlets
from rawdaq.control.alarms.memory import Memory
from rawdaq.control.alarms.notice import Notice
from rawdaq.control.alarms.outlet import Outlet
from rawdaq.control.alarms.run import Watch
from rawdaq.control.alarms.settings import AlarmFile, GeneralSettings, LogTarget, RuleSettings, Target
from rawdaq.control.alarms.targets import PartlyTold, TargetFailed
from rawdaq.control.health.problem import Row
from rawdaq.control.status import rows
from rawdaq.control.status.asking import Asked
from rawdaq.errors import ComponentError
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.control.alarms.peers import alarm, web
from tests.control.cli_words import Said
from tests.helpers import until, wait_for

LOG = logging.getLogger("rawdaq.alarms")


class Told:
    """A target that keeps what it is told, and fails as it is asked to."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.attempts = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, notice: Notice) -> None:
        self.attempts += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.notices.append(notice)

    @property
    def texts(self) -> list[str]:
        return [each.text for notice in self.notices for each in notice.alarms]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(outlets, "_LONGEST_PAUSE_S", 0.01)


@contextlib.asynccontextmanager
async def telling(told: Told, failures: list[str], give_up_after_s: float = 60.0) -> AsyncGenerator[Outlet]:
    target = LogTarget(kind="log", give_up_after_s=give_up_after_s)
    outlet = Outlet("duty", target, "hut", LOG, lambda failing, note: failures.append(note), told)
    task = asyncio.create_task(outlet.run())
    try:
        yield outlet
    finally:
        task.cancel()
        await asyncio.wait([task])
        await outlet.aclose(5.0)


async def test_what_fails_is_tried_again_and_what_came_meanwhile_goes_with_it() -> None:
    told, failures = Told(), list[str]()
    told.error = TargetFailed("the line is dead")
    async with telling(told, failures) as outlet:
        outlet.put([alarm("a")])
        await until(lambda: told.attempts >= 3)
        outlet.put([alarm("b")])
        told.error = None
        await until(lambda: told.texts)
        assert told.texts == ["a", "b"]
        assert failures == ["the target duty takes no message: the line is dead; it is tried again"]
        assert not outlet.is_failing


async def test_what_is_too_old_is_given_up_and_counted_in_the_next_message() -> None:
    told, failures = Told(), list[str]()
    told.error = TargetFailed("the line is dead")
    async with telling(told, failures, give_up_after_s=0.0) as outlet:
        outlet.put([alarm("a"), alarm("b")])
        await until(lambda: len(failures) == 2)
        assert failures[1].startswith("2 alarms for the target duty are given up: it has failed for ")
        told.error = None
        outlet.put([alarm("c")])
        await until(lambda: told.texts)
        (notice,) = told.notices
        assert ([each.text for each in notice.alarms], notice.missing) == (["c"], 2)


async def test_more_than_can_wait_gives_up_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "_MAX_WAITING", 3)
    told, failures = Told(), list[str]()
    told.gate.clear()
    async with telling(told, failures) as outlet:
        outlet.put([alarm("first")])
        await until(lambda: told.attempts == 1)
        outlet.put([alarm(f"{number}") for number in range(5)])
        assert failures == ["2 alarms for the target duty are given up: there are too many"]
        told.gate.set()
        await until(lambda: len(told.notices) == 2)
        assert told.texts == ["first", "2", "3", "4"]
        assert told.notices[1].missing == 2


async def test_who_has_got_a_message_does_not_get_it_again() -> None:
    told, failures = Told(), list[str]()
    told.error = PartlyTold("boss refuses; the others got it")
    async with telling(told, failures) as outlet:
        outlet.put([alarm("a")])
        await until(lambda: failures)
        told.error = None
        outlet.put([alarm("b")])
        await until(lambda: told.texts)
        assert told.texts == ["b"]
        assert failures == ["boss refuses; the others got it"]


async def test_what_waits_at_the_end_is_told_and_what_cannot_be_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    outlet = Outlet("duty", LogTarget(kind="log"), "hut", LOG, lambda failing, note: None, told)
    outlet.put([alarm("a")])
    await outlet.aclose(5.0)
    assert told.texts == ["a"]
    hanging = Outlet("duty", LogTarget(kind="log"), "hut", LOG, lambda failing, note: None, told)
    told.gate.clear()
    hanging.put([alarm("b")])
    await hanging.aclose(0.01)
    assert "1 alarms for the target duty were not sent" in caplog.text


class Bench:
    """A watch with two targets, and what it sees."""

    def __init__(self, tmp_path: Path) -> None:
        self.told = {"good": Told(), "bad": Told()}
        self.answer: Asked | Exception = Asked([], [])
        rules = {
            "late": RuleSettings(when="latency_s", above=10.0, raise_after_s=0, clear_after_s=0),
            "own": RuleSettings(when="problem_number", above=399.0, raise_after_s=0, to=["bad"]),
        }
        targets = {name: LogTarget(kind="log") for name in self.told}
        file = AlarmFile(tmp_path / "alarms.yaml", GeneralSettings(check_every_s=0.1), rules, targets)
        self.memory = Memory(tmp_path / "memory.alarms")
        self.watch = Watch(file, self.ask, self._outlet, self.memory)

    def _outlet(
        self, name: str, target: Target, machine: str, log: logging.Logger, fail: Callable[[Outlet, str], None]
    ) -> Outlet:
        outlet = Outlet(name, target, machine, log, fail, self.told[name])
        outlet.is_log = False
        return outlet

    def ask(self) -> Asked:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def show(self, latency_s: float, number: int = 0) -> None:
        streams: dict[str, Any] = {"XX.A..HHZ": {"packets": 1, "latency_s": latency_s}}
        row: Row = {"component": "XX.A.Raw", "state": "running", "streams": streams, "health": {"number": number}}
        self.answer = Asked([row], [])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        stopped = asyncio.Event()
        task = asyncio.create_task(self.watch.run(stopped))
        try:
            yield
        finally:
            stopped.set()
            await task


async def test_a_target_that_hangs_or_fails_does_not_hold_up_the_others_which_hear_of_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    good, bad = bench.told["good"], bench.told["bad"]
    bad.error = TargetFailed("the line is dead")
    async with bench.running():
        bench.show(11.0, 800)
        await until(lambda: good.texts and bad.attempts)
        bench.show(1.0, 800)
        await until(lambda: len(good.texts) == 2)
        await until(lambda: any(notice.note for notice in good.notices))
        bad.error = None
        await until(lambda: len(bad.texts) == 3)
    assert [notice.note for notice in good.notices if notice.note] == [
        "the target bad takes no message: the line is dead; it is tried again"
    ]
    assert [text.split(":")[0] for text in good.texts] == ["XX.A..HHZ of XX.A.Raw"] * 2
    assert {text.split(":")[0] for text in bad.texts} == {"XX.A..HHZ of XX.A.Raw", "XX.A.Raw"}


async def test_a_watch_that_sees_nothing_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench = Bench(tmp_path)
    good = bench.told["good"]
    bench.answer = ComponentError("the folder is gone")
    for _ in range(3):
        assert await bench.watch.look() == []
    async with bench.running():
        await until(lambda: good.notices)
        bench.answer = Asked([], ["a.yaml: is empty"])
        await until(lambda: "components of this file are not watched: a.yaml: is empty" in caplog.text)
    assert [notice.note for notice in good.notices] == ["components cannot be asked: the folder is gone"]
    assert "components can be asked again" in caplog.text


async def test_another_watch_does_not_repeat_what_was_told_and_clears_it(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.show(11.0, 800)
    async with first.running():
        await until(lambda: first.told["good"].texts and len(first.told["bad"].texts) == 2)
    second = Bench(tmp_path)
    second.show(1.0, 800)
    async with second.running():
        await until(lambda: second.told["good"].texts and second.told["bad"].texts)
    for told in second.told.values():
        assert [(each.change, each.rule) for notice in told.notices for each in notice.alarms] == [("cleared", "late")]


async def test_another_watch_tells_what_a_target_has_not_got(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.show(11.0, 800)
    first.told["bad"].error = TargetFailed("the line is dead")
    async with first.running():
        await until(lambda: first.told["good"].texts and first.told["bad"].attempts)
    assert first.memory.load() == []
    second = Bench(tmp_path)
    second.show(11.0, 800)
    async with second.running():
        await until(lambda: len(second.told["bad"].texts) == 2)


async def test_a_clear_that_a_target_has_not_got_comes_from_the_next_watch(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.show(11.0)
    async with first.running():
        await until(lambda: first.told["good"].texts and first.told["bad"].texts)
        first.told["bad"].error = TargetFailed("the line is dead")
        first.show(1.0)
        await until(lambda: len(first.told["good"].texts) == 2 and first.told["bad"].attempts > 1)
    second = Bench(tmp_path)
    second.show(1.0)
    async with second.running():
        await until(lambda: second.told["bad"].texts)
    assert [each.change for notice in second.told["bad"].notices for each in notice.alarms] == ["cleared"]


async def test_when_a_target_has_lost_alarms_another_watch_tells_all(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.show(11.0)
    async with first.running():
        await until(lambda: first.told["good"].texts and first.told["bad"].texts)
        first.watch.outlets["bad"]._missing = 1
    assert first.memory.load() == []


async def test_a_bug_in_a_target_ends_the_watch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.told["good"].error = KeyError("a bug")
    bench.show(11.0)
    with pytest.raises(KeyError):
        await bench.watch.run(asyncio.Event())


def _alarms(file: Path, url: str) -> Path:
    path = file.with_name("alarms.yaml")
    path.write_text(
        f"check_every_s: 0.1\nmachine: hut\ntargets: {{chat: {{kind: webhook, url: {url}/hook}}}}\n"
        "rules: {down: {when: problem_number, above: 950, raise_after_s: 0, clear_after_s: 0}}\n"
    )
    return path


def test_a_component_that_is_killed_is_told_to_a_web_server_and_its_cure_too(
    runtime: RuntimeFiles, station: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_STATUS_TIMEOUT_S", 10.0)  # one that is slow is not hung
    with web() as server:
        memory = Memory.of(runtime.folder, _alarms(station, server.url))
        assert said.run("start", "all")[0] == 0
        assert said.run("alarms", "list")[:2] == (0, "down  problem_number, notifies chat: nothing is bad now\n")
        with forks.start_cli(["control-rawdaq", "alarms", "run"]) as watch:
            wait_for(lambda: "watching 1 rules" in watch.stderr.readline())
            running = runtime.running("XX.OUT.Main")
            assert running
            said.run("send", "Main", "break")
            os.waitpid(running.pid, 0)
            wait_for(lambda: len(server.posted) == 1)
            wait_for(memory.load)
            watch.terminate()
            assert watch.wait() == 0
        with forks.start_cli(["control-rawdaq", "alarms", "run"]) as watch:
            wait_for(lambda: "watching 1 rules" in watch.stderr.readline())
            assert said.run("start", "all")[0] == 0
            wait_for(lambda: len(server.posted) == 2)
            wait_for(lambda: not memory.load())  # it knows that this one was told
            watch.terminate()
            assert watch.wait() == 0
    raised, cleared = (json.loads(body)["alarms"] for _, _, body in server.posted)
    assert [(each["change"], each["component"], each["value"]) for each in (*raised, *cleared)] == [
        ("raised", "XX.OUT.Main", 1000.0),
        ("cleared", "XX.OUT.Main", 0.0),
    ]
    assert "it broke" in raised[0]["reason"]


def test_the_command_checks_tests_and_lists(station: Path, said: Said, tmp_path: Path) -> None:
    status, _, err = said.run("alarms", "check")
    assert (status, "alarms.yaml: does not exist; write it, or name another with --alarms" in err) == (2, True)
    with web(200, 500) as server:
        file = _alarms(station, server.url)
        assert said.run("alarms", "check")[:2] == (0, f"{file}: 1 rules, 1 targets: good\n")
        assert said.run("alarms", "check", "--json")[:2] == (0, "[]\n")
        assert said.run("alarms", "test")[:2] == (0, "✓ chat\n")
        status, out, _ = said.run("alarms", "test", "chat")
        assert (status, out.endswith("answers 500 Internal Server Error\n"), out[:6]) == (1, True, "✗ chat")
        assert json.loads(server.posted[0][2])["note"].startswith("this is a test")
        assert said.run("alarms", "test", "nobody")[0] == 2
    other = tmp_path / "other.yaml"
    other.write_text("rules: {r: {when: problem_number, below: 5}}\n")
    status, out, _ = said.run("alarms", "check", "--alarms", str(other), "--json")
    assert (status, len(json.loads(out))) == (2, 2)
    other.write_text("rules: {r: {when: no_data, above: -1}}\n")
    status, out, _ = said.run("alarms", "list", "--alarms", str(other), "--json")
    (bad,) = json.loads(out)["r"]
    assert (status, bad["component"], bad["value"]) == (0, "XX.OUT.Main", 0.0)
    status, out, _ = said.run("alarms", "list", "--alarms", str(other))
    assert out.splitlines() == [
        "r  no_data, notifies log: 1 bad now",
        "  OUT/Main: no data for 0 s (above -1 is bad)",
    ]
