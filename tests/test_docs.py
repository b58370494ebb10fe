"""The documentation builds without a warning, asks nothing of other machines, and what it shows is right."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from rawdaq import config
from rawdaq.config import registry
from rawdaq.control import cli, jsonl
from rawdaq.control.device import command as device
from rawdaq.control.dump import command as dump
from rawdaq.control.plugin import command as plugin
from tests.helpers import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "decisions" not in path.parts)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [
    (f"{path.relative_to(DOCS)}:{number}", kind, text)
    for path in PAGES
    for number, (kind, text) in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8")), 1)
]

PROGRAMS: dict[str, click.Command] = {
    "control-rawdaq": cli.cli,
    "rawdaq-dump": dump.main,
    "rawdaq-device": device.main,
    "rawdaq-jsonl": jsonl.main,
    "rawdaq-plugin": plugin.command,
}
#: Programs of others that pages tell people to run.
OTHERS = {".", "cd", "eval", "mkdir", "pip", "python3", "scconfig", "seiscomp"}


def blocks(*kinds: str) -> list[tuple[str, str]]:
    return [(place, text) for place, kind, text in BLOCKS if kind in kinds]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every command of a shell block, without redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        words = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)]
        if words[:1] == ["sudo"]:
            words = words[1:]
        ends = [index for index, word in enumerate(words) if word in (">", "|", "&", "&&")]
        if words:
            yield words[: ends[0]] if ends else words


def mistake(command: click.Command, words: list[str]) -> str | None:
    """Return what *command* does not know in *words*; None when it knows all. Words in capitals stand for others."""
    while words:
        word, *words = words
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            options = [each for each in command.params if isinstance(each, click.Option)]
            option = next((each for each in options if name in (*each.opts, *each.secondary_opts)), None)
            if option is None:
                return None if name in ("-h", "--help") else f"{command.name} has no option {name}"
            if not (option.is_flag or option.count or value):
                words = words[1:]
        elif isinstance(command, click.Group) and not word.isupper():
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
    return None


def test_the_pages_are_built_without_a_warning_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    html = [path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")]
    assert len(html) > 60
    loaded = re.compile(r'<(?:script|img|iframe)[^>]+src="?(https?://[^" >]+)|<link[^>]+href="?(https?://[^" >]+)')
    assert [match.group(0) for text in html for match in loaded.finditer(text)] == []
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    pages = [page.relative_to(DOCS).with_suffix(".html").as_posix() for page in PAGES]
    assert [page for page in pages if page.replace("README", "index") not in index] == []  # all are in the navigation
    schema = json.loads((tmp_path / "site/reference/station-file.schema.json").read_text())
    assert "receiver.RawReceiver" in schema["$defs"]


@pytest.fixture
def own_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the receiver and the publisher that pages show, as their users would."""
    about = tmp_path / "my-1.0.dist-info"
    about.mkdir()
    for _, code in blocks("python"):
        if named := re.match(r"# (my_\w+\.py)\n", code):
            (tmp_path / named[1]).write_text(code)
    groups: dict[str, dict[str, str]] = {}
    for _, text in blocks("toml"):
        for group, entries in tomllib.loads(text)["project"]["entry-points"].items():
            groups.setdefault(group, {}).update(entries)
    lines = [line for group, entries in groups.items() for line in (f"[{group}]", *map(" = ".join, entries.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my\nVersion: 1.0\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        registry._installed.cache_clear()
        yield
    registry._installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


def test_every_station_file_is_good(own_classes: None, tmp_path: Path) -> None:
    files = [(place, text) for place, text in blocks("yaml") if re.search("^station:", text, re.MULTILINE)]
    assert len(files) >= 12
    for place, text in files:
        (tmp_path / "station.yaml").write_text(text)
        try:
            made = config.load(tmp_path / "station.yaml")
        except config.ConfigError as error:
            pytest.fail(f"{place}: {error}")
        for component in made.components:
            registry.installed_class("receiver", component.receiver.class_name)


def test_every_alarm_file_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [(place, text) for place, text in blocks("yaml") if re.search("^rules:", text, re.MULTILINE)]
    assert len(files) >= 2
    for place, text in files:
        (tmp_path / "alarms.yaml").write_text(text)
        for name in re.findall(r"\w+\.secret", text):
            (tmp_path / name).write_text("secret")
            (tmp_path / name).chmod(0o600)
        status = cli.run(["alarms", "check", "--alarms", str(tmp_path / "alarms.yaml")])
        assert status == 0, f"{place}: {capsys.readouterr().err}"


def test_all_other_yaml_and_python_is_whole() -> None:
    for place, text in blocks("yaml"):
        assert yaml.safe_load(text), place
    for place, text in blocks("python"):
        compile(text, place, "exec")


def test_every_command_exists_with_its_options() -> None:
    shown = [(place, words) for place, text in blocks("sh") for words in commands(text)]
    lines = [(place, line) for place, text in blocks("") for line in text.splitlines() if line.startswith("control-")]
    shown += [(place, words) for place, line in lines for words in commands(line)]
    shown += [
        (str(path.relative_to(DOCS)), words)
        for path in PAGES
        for text in re.findall(r"`(control-rawdaq [^`\n]+)`", path.read_text(encoding="utf-8"))
        for words in commands(text)
    ]
    assert len(shown) > 60
    for place, (program, *words) in shown:
        assert program in {*PROGRAMS, *OTHERS}, f"{place}: {program}"
        if program in PROGRAMS:
            assert mistake(PROGRAMS[program], words) is None, f"{place}: {program} {' '.join(words)}"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("statsu", "has no command statsu"),
        ("start all --processses 4", "start has no option --processses"),
        ("systemd instal", "systemd has no command instal"),
    ],
)
def test_a_command_that_does_not_exist_is_found(words: str, what: str) -> None:
    assert what in str(mistake(cli.cli, words.split()))


def test_make_docs_is_a_target_of_the_makefile() -> None:
    assert "mkdocs build --quiet --strict" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_trial_of_a_set_up_uses_commands_that_exist() -> None:
    text = (ROOT / "tools" / "setup_trial.sh").read_text(encoding="utf-8")
    lines = [line.strip().removeprefix("until ") for line in text.splitlines()]
    ours = [line for line in lines if line.startswith(tuple(f"{program} " for program in PROGRAMS))]
    assert len(ours) >= 8
    for line in ours:
        (program, *words) = next(commands(line.partition(" >")[0]))
        assert mistake(PROGRAMS[program], words) is None, line
