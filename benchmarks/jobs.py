"""What a part of the benchmark offers and what the user asks of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Table


@dataclass(frozen=True)
class Options:
    """What the user asks for.

    Attributes:
        table: gets the rows.
        is_full: the whole matrix.
        runs: of each row; None leaves it to the part.
        seconds: of each run in real time; None leaves it to the part.
        cpp: SeisComP's C++ raw plugin.
        beside: the folder of another environment's programs.
    """

    table: Table
    is_full: bool = False
    runs: int | None = None
    seconds: int | None = None
    cpp: Path | None = None
    beside: Path | None = None


@dataclass(frozen=True)
class Job:
    """One row, or several that are measured together; ``--only`` finds it by its tags."""

    tags: Mapping[str, str]
    names: Sequence[str]
    measure: Callable[[], object]


class Section(NamedTuple):
    """Rows with the same columns."""

    title: str
    columns: Sequence[str]
    jobs: Sequence[Job]


def is_chosen(job: Job, filters: Sequence[str]) -> bool:
    """Whether a job's tags have, for each key in *filters*, one of its values.

    >>> pipe = Job({"": "pipe", "k": "10"}, [], print)
    >>> is_chosen(pipe, ["pipe", "live", "k=10"]), is_chosen(pipe, ["many"])
    (True, False)
    """
    chosen: dict[str, set[str]] = {}
    for each in filters:
        key, is_keyed, value = each.partition("=")
        chosen.setdefault(key if is_keyed else "", set()).add(value if is_keyed else key)
    return all(job.tags.get(key) in values for key, values in chosen.items())
