"""Which components there are: station files are read when they change."""

from pathlib import Path

from rawdaq.control.machine.catalog import Catalog
from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.machine.answering import STATIONS


def test_station_files_are_read_when_they_change(tmp_path: Path, runtime: RuntimeFiles) -> None:
    folder = tmp_path / "stations"
    folder.mkdir()
    for code in ("A", "B"):
        (folder / f"{code.lower()}.yaml").write_text(STATIONS.format(code=code, more=""))
    catalog = Catalog(folder, runtime)
    first = catalog.look()
    assert [target.key for target in first.targets] == ["XX.A.Demo", "XX.B.Demo"]
    assert first.mistakes == []
    assert first.targets[0].settings is catalog.look().targets[0].settings  # it was not read again
    (folder / "c.yaml").write_text("station: {network: XX, code: C}\nDemo: {}\n")
    (folder / "b.yaml").unlink()
    second = catalog.look()
    assert [target.key for target in second.targets] == ["XX.A.Demo"]
    assert "c.yaml:2: Demo: has no `Receiver`" in second.mistakes[0]
    for file in folder.iterdir():
        file.unlink()
    third = catalog.look()
    assert third.targets == []
    assert "has no station file" in third.mistakes[0]
