"""``rawdaq-device --plan`` and its kin make a component of what they are told, and say what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rawdaq.control.device import simulation_command
from rawdaq.control.device.command import main
from tests.forks import run_cli
from tests.names import Names

PLAN = """
seed: 3
seconds: 0.1
parts: {kind: readouts, to: "127.0.0.1:PORT", senders: 2, rate_hz: 100, format: {raw: {samples: 1, channels: [1, 2]}}}
noise: {kind: times, to: "127.0.0.1:PORT"}
faults: [{at_s: 0.05, loss: 1.0, source: parts}]
"""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be run."""
    found: list[Any] = []

    def run(components: list[Any]) -> int:
        found.extend(components)
        return 0

    monkeypatch.setattr("rawdaq.control.plugin.process.run", run)
    return found


def told(*args: str) -> str:
    result = CliRunner().invoke(main, list(args), prog_name="rawdaq-device")
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def test_one_source_comes_from_options(made: list[Any]) -> None:
    words = "--readouts --senders 32 --rate 200 --from 127.0.1.101 --per-packet 10 --values slot --seed 4 --seconds 2"
    fault = ["--fault", "loss=0.01 at_s=5", "--fault", "freeze=3"]
    result = CliRunner().invoke(main, [*words.split(), "--format", "{raw: {samples: 10}}", *fault])
    assert result.exit_code == 0, result.output
    (component,) = made
    options = component.receiver.options
    source = options["sources"]["readouts"]
    assert (source.senders, source.rate_hz, source.first_address, source.per_packet) == (32, 200, "127.0.1.101", 10)
    assert (options["seed"], options["seconds"]) == (4, 2)
    assert [(each.at_s, each.loss, each.freeze) for each in options["faults"]] == [(5, 0.01, None), (0, 0, 3)]


@pytest.mark.parametrize(("words", "kind"), [(["--times", "nmea"], "times"), (["--logs"], "logs")])
def test_times_and_logs(made: list[Any], words: list[str], kind: str) -> None:
    assert CliRunner().invoke(main, [*words, "--to", "127.0.0.1:10001"]).exit_code == 0
    assert made[0].receiver.options["sources"][kind].to == "127.0.0.1:10001"


def test_events_come_from_a_layout(made: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "layout.yaml"
    file.write_text("layout: {fields: [magic u16 = 0xCAFE, count u32]}\nvalues: {count: number}\ncounter: count\n")
    result = CliRunner().invoke(main, ["--events", str(file)])
    assert result.exit_code == 0, result.output
    assert made[0].receiver.options["sources"]["events"].values == {"count": "number"}


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("", "is empty"),
        ("[1]", "mapping of sources"),
        ("parts: {kind: readouts}", "plan.yaml:1: parts.to: is missing"),
        ("seed: 1\nparts: {kind: thoughts, to: 'a:1'}", "plan.yaml:2: parts.kind: 'thoughts' is wrong"),
        ("parts: {kind: logs, to: 'a:1'}\nfaults: [{los: 1}]", "plan.yaml:2: faults.0.los: unknown key"),
        ("seed: 1", "at least one"),
        ("parts: {kind: readouts, to: 'a:1'}", "samples"),
        ("a: [", "plan.yaml"),
    ],
)
def test_a_wrong_plan_is_told_with_its_line(plan: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(plan)
    assert reason in told("--plan", str(file))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--readouts", "--to", "here"], "to: 'here' is not HOST:PORT"),
        (["--readouts", "--format", "{raw: {samples: 1}}", "--fault", "loss=3"], "faults.0.loss: 3 is wrong"),
        (["--readouts", "--fault", "loss"], "KEY=VALUE"),
        (["--readouts", "--fault", "loss=["], "not YAML"),
        (["--readouts", "--format", "{"], "--format"),
        (["--readouts", "--times", "nmea"], "two sources"),
        (["--times", "--to", "a:1"], "--times"),
        (["--events", "/nowhere"], "/nowhere"),
        (["--plan", "/nowhere", "--rate", "3"], "leave out"),
        (["--plan", "/nowhere"], "/nowhere"),
    ],
)
def test_wrong_options_are_told(words: list[str], reason: str) -> None:
    assert reason in told(*words)


def test_it_runs_and_leaves_the_truth(tmp_path: Path, names: Names) -> None:
    file, truth = tmp_path / "plan.yaml", tmp_path / "truth"
    file.write_text(PLAN.replace("PORT", "9"))
    result = run_cli(["rawdaq-device", "--plan", str(file), "--truth", str(truth)])
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [(row["source"], row["sent"], row["lost"]) for row in rows] == [
        ("parts", "0-4", 5),
        ("parts", "0-4", 5),
        ("noise", "0", 0),
    ]


def test_help_lists_all_options() -> None:
    result = CliRunner().invoke(simulation_command.simulate, ["--help"])
    assert result.exit_code == 0
    assert all(word in result.output for word in ("--plan", "--fault", "--senders", "--truth"))
