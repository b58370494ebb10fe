"""The package as it is installed: its entry points are those of its pyproject.toml."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.config import registry
from rawdaq.events import formats

FOLDER = Path(__file__).parent.parent


def _forget() -> None:
    registry._installed.cache_clear()
    formats.installed.cache_clear()


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the package for this process."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    about = tmp_path / "site" / "rawdaq_chec-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups: list[str] = []
    for group, entries in project["entry-points"].items():
        groups += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    _forget()
    yield
    monkeypatch.undo()
    _forget()
