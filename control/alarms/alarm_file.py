"""Reads ``alarms.yaml``: all mistakes at once, with file, line and key, as in station files."""

import math
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rawdaq.config.document import ConfigError, Document, Problem
from rawdaq.config.files import ALARMS_FILE
from rawdaq.config.options import Where, plain, resolved
from rawdaq.config.registry import suggestion
from rawdaq.config.settings import NAME
from rawdaq.config.yaml_values import read
from rawdaq.control.alarms.conditions import CONDITIONS, Condition
from rawdaq.control.alarms.settings import TARGETS, AlarmFile, GeneralSettings, RuleSettings, Target
from rawdaq.errors import ComponentError

_BLOCKS = ("rules", "targets", *GeneralSettings.model_fields)
_MAX_SECRET_BYTES = 4096
_EXAMPLE = "such as `silent: {when: no_data, above: 60}`"


def beside(configuration: Path) -> Path:
    """Return where the alarms of the station files at *configuration* stand."""
    return (configuration if configuration.is_dir() else configuration.parent) / ALARMS_FILE


def load(file: Path) -> AlarmFile:
    """Return the validated content of *file*.

    Raises:
        ConfigError: it has mistakes; carries all of them.
    """
    file = plain(file.absolute())
    if not file.exists():
        raise ConfigError((Problem(file, None, "", "does not exist; write it, or name another with --alarms"),))
    document = read(file)
    general, rules, targets = _Reader(document).read()
    if document.problems or general is None:
        raise ConfigError(tuple(sorted(document.problems, key=lambda problem: problem.line or 0)))
    return AlarmFile(file, general, rules, targets)


class _Reader:
    """Makes settings from *document*, and adds the problems to it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._target_names: list[str] = []  # also of those with mistakes

    def read(self) -> tuple[GeneralSettings | None, dict[str, RuleSettings], dict[str, Target]]:
        """Return what is valid."""
        document = self._document
        if document.root is None:
            if not document.problems:
                document.add((), f"is empty; it has rules, {_EXAMPLE}")
            return None, {}, {}
        blocks = document.mapping((), document.root, "a mapping of `rules` and `targets`")
        if blocks is None:
            return None, {}, {}
        for key in blocks:
            if key not in _BLOCKS:
                document.add((key,), f"unknown key; {suggestion(str(key), _BLOCKS)}")
        own = {key: blocks[key] for key in GeneralSettings.model_fields if key in blocks}
        general = document.valid((), GeneralSettings, own, "a mapping")
        targets = self._named("targets", blocks.get("targets", {"log": {"kind": "log"}}), self._target)
        rules = self._named("rules", blocks.get("rules"), self._rule)
        return general, rules, targets

    def _named(self, block: str, value: Any, make: Callable[[Where, Any], Any]) -> dict[str, Any]:
        """Return the valid entries of a block of names."""
        document = self._document
        what = f"a mapping of names to {block}"
        if not value:
            document.add((block,), f"is missing or empty; it should be {what}{f', {_EXAMPLE}' * (block == 'rules')}")
            return {}
        found: dict[str, Any] = {}
        for name, entry in (document.mapping((block,), value, what) or {}).items():
            where = (block, name)
            if not isinstance(name, str) or not NAME.fullmatch(name):
                document.add(where, "is not a name; it should be 1-48 characters of A-Z a-z 0-9 _ -")
            else:
                self._target_names += [name] if block == "targets" else []
                if (made := make(where, entry)) is not None:
                    found[name] = made
        return found

    def _target(self, where: Where, value: Any) -> Target | None:
        document = self._document
        given = document.mapping(where, value, "a mapping with `kind`")
        if given is None:
            return None
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in TARGETS:
            known = ", ".join(TARGETS)
            text = "has no `kind`" if kind is None else f"{kind!r} is not a kind of target"
            document.add((*where, "kind") if "kind" in given else where, f"{text}; known: {known}")
            return None
        made = document.valid(where, TARGETS[kind], given, "a mapping with `kind`")
        if made is None:
            return None
        target: Target = resolved(made, document.file.parent)
        for key in ("password_file", "token_file"):
            self._check_secret((*where, key), getattr(target, key, None))
        if getattr(target, "user", None) and not getattr(target, "password_file", None):
            document.add((*where, "user"), "needs the password of this user: add `password_file`")
        return target

    def _check_secret(self, where: Where, file: Path | None) -> None:
        if file is None:
            return
        try:
            secret(file)
        except ComponentError as error:
            self._document.add(where, str(error))

    def _rule(self, where: Where, value: Any) -> RuleSettings | None:
        document = self._document
        known = len(document.problems)
        rule = document.valid(where, RuleSettings, value, "a mapping with `when` and a limit")
        if rule is None:
            return None
        self._check_limits(where, rule)
        for index, name in enumerate(rule.to):
            if name not in self._target_names:
                names = ", ".join(self._target_names) or "none"
                document.add((*where, "to", index), f"no target is called {name!r}; known: {names}")
        return rule if len(document.problems) == known else None

    def _check_limits(self, where: Where, rule: RuleSettings) -> None:
        document, condition = self._document, CONDITIONS.get(rule.when)
        if condition is None:
            document.add((*where, "when"), f"{rule.when!r} is no condition; {suggestion(rule.when, tuple(CONDITIONS))}")
            return
        right, wrong = ("above", "below") if condition.is_bad_above else ("below", "above")
        if getattr(rule, wrong) is not None:
            document.add(
                (*where, wrong), f"does not go with {rule.when}, of which {right} a limit is bad; write {right}"
            )
        limit = getattr(rule, right)
        if limit is None or not math.isfinite(limit):
            document.add(where, f"has no limit; add {right}: NUMBER{f' ({condition.unit})' if condition.unit else ''}")
        elif rule.clear_at is not None and _is_bad(rule.clear_at, limit, condition):
            most = "most" if condition.is_bad_above else "least"
            document.add((*where, "clear_at"), f"is a bad value itself; it should be at {most} {limit:g}")
        for key in ("streams", "publishers"):
            if getattr(rule, key) and condition.subjects != key:
                document.add(
                    (*where, key), f"selects nothing of {rule.when}, which is of {condition.subjects}; remove it"
                )


def _is_bad(value: float, limit: float, condition: Condition) -> bool:
    return value > limit if condition.is_bad_above else value < limit


def secret(file: Path) -> str:
    """Return the only line of *file*.

    Raises:
        ComponentError: it cannot be read, or others can read it.
    """
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ComponentError(f"{file} is not a plain file")
        with file.open("rb") as opened:
            text = opened.read(_MAX_SECRET_BYTES + 1).decode().strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ComponentError(f"{file} cannot be read: {reason}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ComponentError(f"{file} can be read by others; run: chmod 600 {file}")
    if not text or len(text) > _MAX_SECRET_BYTES or not text.isprintable():
        raise ComponentError(f"{file} has to be a file of one line, the secret")
    return text
