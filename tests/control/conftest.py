"""A station that is started and asked as a person does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.control.processes import children
from rawdaq.control.processes.stop import stop
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks, outside
from tests.control.cli_words import Said


@pytest.fixture
def runtime(runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RuntimeFiles]:
    """Runtime files of this test alone, and a package from outside; what still runs at the end is stopped."""
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        patch.setattr(children, "spawn", forks.spawn)
        with RuntimeFiles.find() as files:
            yield files
            stop([key for key in files.keys() if not key.startswith("group.")], files)
    outside.forget()


@pytest.fixture
def station(runtime: RuntimeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A station file that ``$RAWDAQ_CONFIG`` names."""
    file = tmp_path / "station.yaml"
    file.write_text(outside.STATION)
    with monkeypatch.context() as patch:
        patch.setenv("RAWDAQ_CONFIG", str(file))
        yield file


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)
