"""``rawdaq-jsonl``: the configuration and the files of dali2jsonl, and what it does that the other does not."""

import bz2
import json
import random
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from rawdaq.control.jsonl import build, read_configuration
from rawdaq.errors import InvalidValue
from tests import forks
from tests.datalink_links import serving
from tests.datalink_server import Server
from tests.forks import run_cli
from tests.helpers import DEADLINE_S, environment, wait_for


def configuration(
    folder: Path, server: Server, more: str = "", pattern: str = "%n/%s/%n.%s.%l.%c.%Y.%j.%H.jsonl"
) -> Path:
    """Write a configuration; return the file."""
    file = folder / "conf.toml"
    file.write_text(
        f"[datalink]\nhost='127.0.0.1'\nport={server.port}\nmatch='.*/(BZ)?JSON'\n{more}\n"
        f"[jsonl]\nwrite='{folder}/out/{pattern}'\n"
    )
    return file


@contextmanager
def archiving_as_they_do(file: Path) -> Generator[None]:
    """Run the original; interrupt it at the end."""
    words = [sys.executable, "-m", "simpledali.dali2jsonl", "-c", str(file)]
    with subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE) as process:
        try:
            yield
            process.send_signal(signal.SIGINT)
            process.wait(DEADLINE_S)
        finally:
            process.kill()
            process.communicate()


@contextmanager
def archiving(file: Path, *words: str) -> Generator[forks.Process]:
    """Run our archiver; interrupt it at the end."""
    with forks.start_cli(["rawdaq-jsonl", "-c", str(file), *words]) as process:
        yield process
        process.send_signal(signal.SIGINT)
        process.communicate()


def fill(server: Server, count: int, seed: int = 1) -> None:
    """Write JSON packets of many kinds, and some others."""
    chance = random.Random(seed)
    for number in range(count):
        value = {"number": number, "text": chance.choice(["", "ü", 'a "quote"', " "]), "values": [chance.random()]}
        data = json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=None).encode()
        name = chance.choice(
            ["FDSN:XX_TOWR_00_H_H_Z", "XX_TOWR__LOG", "FDSN:XX_B__L_LONG_S", "foo", "XX_TOWR_00_L_O_G"]
        )
        kind = chance.choice(["JSON", "BZJSON", "RAW"])
        start_us = 1_750_000_000_000_000 + chance.randrange(10**11)
        server.put(f"{name}/{kind}", start_us, start_us, bz2.compress(data) if kind == "BZJSON" else data)


def content(folder: Path) -> dict[str, list[bytes]]:
    """Return the lines of all files."""
    paths = (path for path in folder.glob("out/**/*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes().splitlines(keepends=True) for path in paths}


def test_the_files_are_those_of_dali2jsonl_line_by_line(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with serving(capacity=5000, packet_size=4096) as (server, _):
        for folder in (theirs, ours):
            folder.mkdir()
        with archiving_as_they_do(configuration(theirs, server)), archiving(configuration(ours, server), "-v"):
            wait_for(lambda: sum(session.is_streaming for session in server.sessions) == 2)
            fill(server, 500)
            wait_for(lambda: sum(map(len, content(theirs).values())) > 100)
            wait_for(lambda: content(ours) == content(theirs) and len(content(theirs)) > 10)
    assert content(ours) == content(theirs)


def has_lines(path: Path, count: int) -> bool:
    """Whether *path* has so many lines."""
    return path.exists() and len(path.read_bytes().splitlines()) == count


def test_earliest_misses_nothing_and_a_restart_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out" / "all.jsonl"
    with serving(capacity=5000, packet_size=4096) as (server, _):
        more = "programname='me'\nusername='myself'\nprocessid=7\narchitecture='pc'"
        file = configuration(tmp_path, server, more, pattern="all.jsonl")
        for end, is_killed in ((10, False), (20, True), (30, False)):
            for at in range(end - 10, end):
                server.put("XX_A__LOG/JSON", at, at, b"%d" % at)
            with archiving(file, "--earliest") as process:
                wait_for(partial(has_lines, path, end))
                if is_killed:
                    process.kill()
            assert process.returncode == (-signal.SIGKILL if is_killed else 0)
        assert server.sessions[0].client_id == "me:myself:7:pc"
    assert path.read_bytes().split() == [b"%d" % at for at in range(30)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "[datalink] is required in configuration toml; [jsonl] is required in configuration toml"),
        ("[datalink]\n[jsonl]\nwrite=''", "datalink.match is required in configuration toml"),
        ("[datalink]\nmatch='x'\n[jsonl]", "jsonl.write is required in configuration toml"),
        ("[datalink]\nmatch='x'\nport=99999\n[jsonl]\nwrite='x'", "datalink.port: "),
        ("[datalink]\nmatch='x'\n[jsonl]\nwrite='%q'", "directory value %q not allowed in write pattern %q"),
        ("[datalink]\nmatch='('\n[jsonl]\nwrite='x'", "'(' is no regular expression"),
        ("[datalink]\nmatch='x'\nwebsocket='http://x'\n[jsonl]\nwrite='x'", "'http://x' is no address"),
        ("garbage", "is no TOML"),
    ],
)
def test_a_wrong_configuration_is_told(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    file.write_text(text)
    with pytest.raises((InvalidValue, ValueError)) as raised:
        build(read_configuration(file), is_from_earliest=False)
    assert reason in str(raised.value)


def test_a_configuration_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = run_cli(["rawdaq-jsonl", "-c", str(tmp_path / "nothing")])
    assert done.returncode == 2
    assert "nothing: No such file or directory" in done.stderr
    assert run_cli(["rawdaq-jsonl"]).returncode == 2


def test_what_fails_ends_with_1(tmp_path: Path) -> None:
    with serving() as (server, _):
        file = configuration(tmp_path, server)
        state = tmp_path / "out" / ".rawdaq-jsonl.reader.json"
        state.parent.mkdir()
        state.write_text("garbage")
        done = run_cli(["rawdaq-jsonl", "-c", str(file)])
    assert done.returncode == 1
    assert "rawdaq-jsonl: cannot read the state in" in done.stderr


def test_the_server_may_be_named_in_both_ways(tmp_path: Path) -> None:
    file = tmp_path / "conf.toml"
    tail = "match='x'\n[jsonl]\nwrite='a/%n'\n[jsonl.bandwrite]\nH='b/%n'\n"
    urls = []
    for head in ("", "host='::1'\nport=1\n", "host='x'\nwebsocket='ws://y:1/datalink'\n"):
        file.write_text(f"[datalink]\n{head}{tail}")
        found = read_configuration(file)
        urls.append(found.datalink.url)
        assert found.datalink.client_id == ""
        assert build(found, is_from_earliest=True).name == "rawdaq-jsonl"
    assert urls == ["datalink://localhost:16000", "datalink://[::1]:1", "ws://y:1/datalink"]
