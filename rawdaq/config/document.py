"""The content of a configuration file: its values, the line of each key, and the problems found so far."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rawdaq.config.options import Mistake, Model, Where, shown, validate
from rawdaq.errors import RawdaqError


class Problem(NamedTuple):
    """One mistake in a station file.

    Attributes:
        file: the file (or folder) that has it.
        line: its line from 1, None when it belongs to no line.
        key: the path of the key, such as ``RawReceiver.Receiver.port``; empty for the file as a whole.
        text: what is wrong, and what would be right.
    """

    file: Path
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return ": ".join(part for part in (where, self.key, self.text) if part)


class ConfigError(RawdaqError):
    """The configuration is wrong; carries every mistake that was found, one a line.

    Args:
        problems: the mistakes, in the order of the files and their lines.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(slots=True)
class Document:
    """The content of one file.

    Attributes:
        file: the file.
        root: its content; None when it is empty or cannot be read.
        lines: the line of each key, from 1.
        words: each scalar as it is written.
        misread: where YAML reads another number than the word looks like, which is among the problems.
        problems: what is wrong with it.
    """

    file: Path
    root: Any = None
    lines: dict[Where, int] = field(default_factory=dict[Where, int])
    words: dict[Where, str] = field(default_factory=dict[Where, str])
    misread: set[Where] = field(default_factory=set[Where])
    problems: list[Problem] = field(default_factory=list[Problem])

    def add(self, where: Where, text: str) -> None:
        """Note a problem with the key at *where*, or with the nearest key around it."""
        self.problems.append(Problem(self.file, self.line_of(where), dotted(where), text))

    def line_of(self, where: Where) -> int | None:
        """Return the line of the key at *where*, or of the nearest key around it; None when there is none."""
        return next((self.lines[where[:end]] for end in range(len(where), -1, -1) if where[:end] in self.lines), None)

    def add_mistakes(self, where: Where, mistakes: list[Mistake]) -> None:
        """Note *mistakes* in the values below *where*."""
        for mistake in mistakes:
            place = (*where, *mistake.where)
            while place not in self.lines and len(place) > len(where) and not mistake.is_missing:
                place = place[:-1]  # pydantic adds the names of alternative types, which are not in the file
            if place in self.misread:
                continue
            word = self.words.get(place) if mistake.expects_text else None
            self.add(place, f'YAML does not read {word} as text; write "{word}" in quotes' if word else mistake.text)

    def mapping(self, where: Where, value: Any, what: str) -> dict[Any, Any] | None:
        """Return *value* when it is a mapping, else note the problem and return None."""
        if not isinstance(value, dict):
            self.add(where, f"{shown(value)} is wrong; it should be {what}")
            return None
        return value  # pyright: ignore[reportUnknownVariableType] - YAML has no types

    def valid(self, where: Where, model: type[Model], value: Any, what: str) -> Model | None:
        """Return *value* as *model*, else note the problems and return None."""
        given = self.mapping(where, value, what)
        if given is None:
            return None
        made, mistakes = validate(model, given)
        self.add_mistakes(where, mistakes)
        return made


def dotted(where: Where) -> str:
    """Return the keys of *where* as a message names them."""
    return ".".join(map(str, where))
