"""What the tests of starting and stopping share: components from outside, and one call for one of them."""

from pathlib import Path

from rawdaq import config
from rawdaq.config import ComponentSettings
from rawdaq.control.processes.jobs import Results
from rawdaq.control.processes.start import start
from rawdaq.control.processes.stop import stop
from rawdaq.process.runtime_files import RuntimeFiles
from tests import outside

KEY = "XX.OUT.Main"


def component(folder: Path, text: str = outside.STATION) -> ComponentSettings:
    file = folder / "station.yaml"
    file.write_text(text)
    return config.load(file).components[0]


def troubled(folder: Path, trouble: str, daemon: str = "{}") -> ComponentSettings:
    """Return a component whose receiver has this *trouble*."""
    text = outside.STATION.replace("OutsideReceiver}", f"OutsideReceiver, trouble: {trouble}}}")
    return component(folder, f"{text}  Daemon: {daemon}\n")


def named_component(folder: Path, name: str, words: str = "", daemon: str = "{}") -> ComponentSettings:
    file = folder / f"{name}.yaml"
    file.write_text(
        f"station: {{network: XX, code: {name}}}\n"
        f"Main:\n  Receiver: {{class: OutsideReceiver{words}}}\n  Daemon: {daemon}\n"
    )
    return config.load(file).components[0]


def named_components(folder: Path, **more: str) -> list[ComponentSettings]:
    """Return a component for each name in *more*, whose value is what else its receiver's block says; one file each."""
    return [named_component(folder, name, words) for name, words in more.items()]


def start_one(settings: ComponentSettings, runtime: RuntimeFiles) -> int:
    """Start one component; return its pid, or raise why there is none."""
    return _only(start([[settings]], runtime))


def stop_one(key: str, runtime: RuntimeFiles) -> int:
    """Stop one component; return the pid that it had, or raise why not."""
    return _only(stop([key], runtime))


def _only(results: Results) -> int:
    (result,) = results.values()
    if isinstance(result, Exception):
        raise result
    return result


def pids(results: Results) -> list[int]:
    """Return the pids, in the order of the components; fails when one has none."""
    assert all(isinstance(result, int) for result in results.values()), results
    return [result for result in results.values() if isinstance(result, int)]


def make_publishers_end_with(folder: Path, ending: str) -> None:
    """Let components from outside do *ending* when their publishers close."""
    module = folder / "site" / "rawdaq_outside.py"
    module.write_text(f"{module.read_text()}\nasync def _end(self):\n    {ending}\nOutsidePublisher.aclose = _end\n")
