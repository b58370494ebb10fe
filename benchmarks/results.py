"""What a benchmark found: rows of a table that is printed as it grows, and one JSON file."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "scipy", "pyzmq", "pymseed", "obspy", "pydantic")
_NAME_WIDTH = 44


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
        """How far the runs lie apart, the farthest from each other, as a part of the median."""
        return 100 * (max(self.values) - min(self.values)) / self.median if self.median else 0.0

    def as_json(self) -> dict[str, object]:
        """Return all of it."""
        low, high = min(self.values), max(self.values)
        return {"median": self.median, "min": low, "max": high, "runs": list(self.values)}


def spread(runs: Sequence[Mapping[str, float]], name: str, factor: float = 1.0) -> Spread:
    """Return the figure *name* of *runs*, times *factor*."""
    return Spread(tuple(run[name] * factor for run in runs))


@dataclass
class Report:
    """All rows so far; each is printed when it comes.

    Attributes:
        rows: what the JSON file holds.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    _columns: tuple[str, ...] = ()

    def section(self, title: str, columns: Sequence[str]) -> None:
        """Begin a part of the table with columns of its own."""
        self._columns = tuple(columns)
        print(f"\n{title:{_NAME_WIDTH}}" + "".join(f"{column:>14}" for column in columns), flush=True)

    def row(self, name: str, case: Mapping[str, object], figures: Mapping[str, Spread | float | None]) -> None:
        """Add a row; *figures* are those of the section's columns first, and more for the file alone."""
        cells = "".join(f"{_cell(figures.get(column)):>14}" for column in self._columns)
        print(f"{name:{_NAME_WIDTH}}{cells}", flush=True)
        kept = {key: each.as_json() if isinstance(each, Spread) else each for key, each in figures.items()}
        self.rows.append({"name": name, "case": dict(case), "figures": kept})

    def note(self, text: str) -> None:
        """Print a line that belongs to the row before."""
        print(f"  ! {text}", flush=True)
        if self.rows:
            self.rows[-1].setdefault("notes", []).append(text)

    def write(self, file: Path) -> None:
        """Write the JSON file."""
        file.write_text(json.dumps({"machine": machine(), "versions": versions(), "rows": self.rows}, indent=1) + "\n")


def _cell(figure: Spread | float | None) -> str:
    if figure is None:
        return "-"
    if isinstance(figure, Spread):
        return (
            f"{_number(figure.median)} ±{figure.percent / 2:.0f}%" if len(figure.values) > 1 else _cell(figure.median)
        )
    return _number(figure)


def _number(value: float) -> str:
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
