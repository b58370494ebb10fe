"""One JSON-able row for each component: what its files say, and what it answers when it runs."""

import time
from collections.abc import Sequence
from dataclasses import replace

from rawdaq.control import client
from rawdaq.control.health.disks import with_disks
from rawdaq.control.health.problem import Health, Row
from rawdaq.control.health.rule import health
from rawdaq.control.names import Target
from rawdaq.control.processes.jobs import run_each
from rawdaq.errors import CommandError, NoAnswer, RawdaqError
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.times import to_iso

_STATUS_TIMEOUT_S = 5.0


def row(target: Target) -> Row:
    """Return what the files say of *target*; ``error`` is why it is dead or has failed."""
    settings, running = target.settings, target.running
    file = settings.file if settings and not (running and running.is_alive) else target.started_from
    known: Row = {
        "component": target.key,
        "title": target.title,
        "name": target.name,
        "station": target.station,
        "state": target.state,
        "pid": running.pid if running else None,
        "group": running.group if running and running.is_alive else None,
        "receiver": settings.receiver.class_name if settings else None,
        "publishers": [publisher.name for publisher in settings.publishers] if settings else [],
        "file": str(file),
    }
    return known | ({"error": str(target.ended)} if target.ended else {})


def status(target: Target, runtime: RuntimeFiles) -> Row:
    """Return the row of *target* and, when it runs, what it answers to ``status`` (or why it does not: ``error``)."""
    known = row(target)
    if target.state != "running":
        return known | _ended(target, runtime)
    try:
        return known | ask(target.title, target.key, runtime)
    except CommandError as error:
        now = replace(target, running=runtime.running(target.key), ended=runtime.ended(target.key))
        if now.state != "running":  # it has ended meanwhile
            return row(now) | _ended(now, runtime)
        return known | {"error": str(error), "state": "hung" if isinstance(error, NoAnswer) else known["state"]}


def _ended(target: Target, runtime: RuntimeFiles) -> Row:
    """Return when a component that has died or failed showed its last sign of life."""
    ended_ns = runtime.ended_ns(target.key) if target.ended else None
    return {} if ended_ns is None else {"ended": to_iso(ended_ns)}


def statuses(targets: Sequence[Target], runtime: RuntimeFiles, *, must_run: bool = False) -> list[Row]:
    """Return the status of all *targets*, with their disks, and with what is wrong with them; this blocks.

    ``health`` is what `rawdaq.control.health.rule.health` says, as JSON; ``problems`` are the sentences of it that a
    person must look at.

    Args:
        targets: the components, which are asked side by side.
        runtime: their files.
        must_run: whether a component that was stopped in order is a problem.
    """
    answers = run_each(lambda target: status(target, runtime), targets)
    known = with_disks(
        [
            row(target) | {"error": str(answer)} if isinstance(answer, RawdaqError) else answer
            for target, answer in zip(targets, answers, strict=True)
        ]
    )
    now_ns = time.time_ns()
    return [judged(each, health(each, now_ns, must_run=must_run)) for each in known]


def judged(known: Row, found: Health) -> Row:
    """Return the row *known* with what was *found* to be wrong."""
    more: Row = {"problems": found.texts, "health": found.as_json()}
    return known | more


def ask(title: str, key: str, runtime: RuntimeFiles) -> Row:
    """Return what the component *key* answers to ``status``; it is called *title* in errors.

    Raises:
        CommandError: it does not answer, or refuses.
    """
    answer = client.send(title, runtime.command_address(key), "status", (), _STATUS_TIMEOUT_S)
    return answer if isinstance(answer, dict) else {"error": f"its status is {answer!r}"}
