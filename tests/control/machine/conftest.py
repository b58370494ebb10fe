"""Runtime files of a test alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.process.runtime_files import RuntimeFiles


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[RuntimeFiles]:
    with RuntimeFiles(tmp_path / "run", tmp_path / "log") as files:
        yield files
