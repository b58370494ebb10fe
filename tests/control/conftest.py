"""A station that is started and asked as a person does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.control.processes import supervisor
from rawdaq.process.runtime_files import RuntimeFiles
from tests import outside
from tests.control.cli_words import Said


@pytest.fixture
def station(runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A station file that ``$RAWDAQ_CONFIG`` names; what runs is stopped at the end."""
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        file = tmp_path / "station.yaml"
        file.write_text(outside.STATION)
        patch.setenv("RAWDAQ_CONFIG", str(file))
        yield file
        with RuntimeFiles.find() as runtime:
            for key in runtime.keys():
                supervisor.stop(key, runtime)
    outside.forget()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)
