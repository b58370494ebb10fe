"""The figures of a benchmark: rows of tables that are printed as they come, and one JSON file."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from benchmarks.processes import ROOT

LIMIT_COLUMNS = ("figure", "measured", "limit")

_LIMITS_FILE = ROOT / "benchmarks" / "limits.json"

_LIBRARIES = ("numpy", "scipy", "pyzmq", "pymseed", "obspy", "pydantic")
_NAME_WIDTH = 44
_COLUMN_WIDTH = 14


@dataclass(frozen=True)
class Spread:
    """A figure of several runs."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def percent(self) -> float:
        """The distance from the lowest to the highest, in percent of the median."""
        return 100 * (max(self.values) - min(self.values)) / self.median if self.median else 0.0

    def as_json(self) -> dict[str, object]:
        """Return all of it."""
        return {"median": self.median, "min": min(self.values), "max": max(self.values), "runs": list(self.values)}


Figures: TypeAlias = Mapping[str, Spread | float | None]


class Limit(NamedTuple):
    """A figure that was measured and has a limit."""

    row: str
    column: str
    value: float
    limit: float

    @property
    def is_checked(self) -> bool:
        """Whether it holds on any machine."""
        return holds_anywhere(self.column)

    @property
    def is_met(self) -> bool:
        """Whether the figure is within the limit."""
        return self.value <= self.limit

    def __str__(self) -> str:
        """Return a line."""
        cells = (self.column, number(self.value), number(self.limit), "" if self.is_met else "too much")
        return f"{self.row:{_NAME_WIDTH}}" + "".join(f"{cell:>{_COLUMN_WIDTH}}" for cell in cells)


def holds_anywhere(column: str) -> bool:
    """Whether a figure is a ratio of two things measured in the same minutes, or a number of idle wake-ups."""
    return column.startswith("x ") or column == "idle wake-ups"


def limits_of_rows() -> dict[str, dict[str, float]]:
    """Return the limits by row and column."""
    limits: dict[str, dict[str, float]] = json.loads(_LIMITS_FILE.read_text())
    return limits


def spread(runs: Sequence[Mapping[str, float]], name: str, factor: float = 1.0) -> Spread:
    """Return the figure *name* of *runs*, times *factor*."""
    return Spread(tuple(run[name] * factor for run in runs))


@dataclass
class Table:
    """All rows so far; each is printed when it comes.

    Attributes:
        rows: what the JSON file holds.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    _columns: tuple[str, ...] = ()

    def head(self, title: str, columns: Sequence[str]) -> None:
        """Begin a section with columns of its own."""
        self._columns = tuple(columns)
        print(f"\n{title:{_NAME_WIDTH}}" + "".join(f"{column:>{_COLUMN_WIDTH}}" for column in columns), flush=True)

    def row(self, name: str, tags: Mapping[str, object], figures: Figures) -> None:
        """Add a row; *figures* can have more than the section's columns, for the file alone."""
        cells = "".join(f"{_cell(figures.get(column)):>{_COLUMN_WIDTH}}" for column in self._columns)
        print(f"{name:{_NAME_WIDTH}}{cells}", flush=True)
        kept = {key: each.as_json() if isinstance(each, Spread) else each for key, each in figures.items()}
        self.rows.append({"name": name, "tags": dict(tags), "figures": kept})

    def note(self, text: str) -> None:
        """Print a line that belongs to the row before."""
        print(f"  ! {text}", flush=True)
        self.rows[-1].setdefault("notes", []).append(text)

    def limits(self) -> list[Limit]:
        """Return the figures so far that have a limit; of a row that was measured again the last ones."""
        rows = {row["name"]: row["figures"] for row in self.rows}
        found = []
        for name, limits in limits_of_rows().items():
            for column, limit in limits.items():
                figure = rows.get(name, {}).get(column)
                if figure is not None:
                    found.append(Limit(name, column, figure["median"] if isinstance(figure, dict) else figure, limit))
        return found

    def write(self, file: Path) -> None:
        """Write the JSON file."""
        limits = [limit._asdict() for limit in self.limits()]
        document = {"machine": machine(), "versions": versions(), "rows": self.rows, "limits": limits}
        file.write_text(json.dumps(document, indent=1) + "\n")


def _cell(figure: Spread | float | None) -> str:
    if figure is None:
        return "-"
    if isinstance(figure, float | int):
        return number(figure)
    runs = f" ±{figure.percent / 2:.0f}%" if len(figure.values) > 1 and figure.median else ""
    return number(figure.median) + runs


def number(value: float) -> str:
    """Return *value* with as many digits as mean something.

    >>> number(12345.6), number(123.45), number(1.234), number(0.0123), number(0)
    ('12346', '123.5', '1.23', '0.012', '0')
    """
    if abs(value) < 0.1:
        return f"{value:.2g}"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:.{digits}f}"


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries."""
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in _LIBRARIES}
