"""rawdaq-dump --from: every view works on files as on streams."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from click.testing import CliRunner, Result

from rawdaq.control.dump.command import main
from rawdaq.control.dump.files import MiniSeedFile
from rawdaq.control.dump.run import Arrival
from rawdaq.packet import Packet
from rawdaq.replay import waveforms
from rawdaq.subscriber.files import FileSubscriber
from tests.forks import run_cli
from tests.makers import START_NS, STREAM
from tests.waveform_makers import NORTH, noise, pairs, write

S = 10**9
GIVEN = [noise(STREAM, START_NS, 1500), noise(STREAM, START_NS + 20 * S, 700), noise(NORTH, START_NS + S, 1000)]
LINE = re.compile(r"XX\.DEMO\.00\.HH[ZN] 2026-\S+Z 2026-\S+Z 100 Hz \d+ int32 q=90 seq=\d+ lat=-")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "day.mseed", GIVEN)


def dump(*args: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_process_reads_a_file_to_its_end(path: Path) -> None:
    done: CompletedProcess[str] = run_cli(["rawdaq-dump", "--from", str(path)])
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(lines) > 6
    assert all(LINE.fullmatch(line) for line in lines)
    assert re.fullmatch(rf"rawdaq-dump: {len(lines)} packets of 2 streams in \S+ s, 0 lost\n", done.stderr)


def test_several_files_folders_and_patterns_are_read_together(path: Path) -> None:
    write(path.with_name("b.mseed"), [noise(NORTH, START_NS + 100 * S, 50)])
    once = dump("--from", path.parent).stdout.splitlines()
    assert dump("--from", path, "--from", path.with_name("b.mseed")).stdout.splitlines() == once
    assert dump("--from", path.parent / "*.mseed").stdout.splitlines() == once
    assert once[-1].startswith("XX.DEMO.00.HHN 2026-11-21T00:01:40")


def test_json_lines_have_gaps_and_have_no_latency(path: Path) -> None:
    done = dump("--from", path, "--json", "--samples", "--stream", "*.HHZ")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [sample for each in objects for sample in each["samples"]] == [value for _, value in pairs(GIVEN)]
    assert {each["latency_s"] for each in objects} == {None}
    assert [each["frame"] for each in objects] == list(range(len(objects)))
    assert [each["gap_s"] for each in objects if each["gap_s"]] == [5.0]


def test_table_counts_gaps_and_has_no_latency(path: Path) -> None:
    lines = dump("--from", path, "--stats").stdout.splitlines()
    assert lines[0].split()[0] == "stream"
    assert [line.split()[0] for line in lines[1:]] == ["XX.DEMO.00.HHN", "XX.DEMO.00.HHZ"]
    assert lines[2].split()[2:8] == ["100", "-", "-", "-", "1", "0"]


def test_table_as_json(path: Path) -> None:
    figures = [json.loads(line) for line in dump("--from", path, "--stats", "--json").stdout.splitlines()]
    assert [(each["stream"], each["gaps"]) for each in figures] == [("XX.DEMO.00.HHN", 0), ("XX.DEMO.00.HHZ", 1)]
    assert [each["latency_mean_s"] for each in figures] == [None, None]


def test_streams_of_files_are_named_when_none_is_wanted(path: Path) -> None:
    done = dump("--from", path, "--stream", "YY.*")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "0 lost: YY.* selects none of XX.DEMO.00.HHN, XX.DEMO.00.HHZ; a pattern is like XX.*.00.HH?" in done.stderr


def test_count_ends_it(path: Path) -> None:
    assert len(dump("--from", path, "--count", "3").stdout.splitlines()) == 3


def test_what_is_written_holds_the_same(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "a.mseed"
    copy.parent.mkdir()
    assert dump("--from", path, "--write", copy, "--stream", "*.HHZ").exit_code == 0
    with FileSubscriber(copy) as subscriber:
        assert pairs(list(subscriber)) == pairs(GIVEN)


def test_records_from_files_wait_until_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = START_NS
    monkeypatch.setattr("time.time_ns", lambda: now_ns)
    view = MiniSeedFile(tmp_path / "a", is_live=False)
    view.show(Arrival(noise(size=10), None, None, 0))
    now_ns += 10_000 * S
    view.tick(0)
    assert (tmp_path / "a").stat().st_size == 0
    view.close()
    assert (tmp_path / "a").stat().st_size == 512


def test_picture_is_drawn(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Packet] = []

    def plot(packets: Iterable[Packet], picture: Path) -> None:
        drawn.extend(packets)
        picture.touch()

    monkeypatch.setattr(waveforms, "plot", plot)
    assert dump("--from", path, "--plot", tmp_path / "a.png").exit_code == 0
    assert (tmp_path / "a.png").exists()
    assert sum(packet.samples.size for packet in drawn) == 3200


@pytest.mark.parametrize(
    ("name", "is_writable", "status"), [("a.foo", True, 2), ("a.png", False, 1), ("absent/a.png", True, 1)]
)
def test_a_picture_that_cannot_be_is_refused_before_anything_is_replaced(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_writable: bool, status: int
) -> None:
    def access(_: object, mode: int) -> bool:
        return is_writable or mode != os.W_OK

    monkeypatch.setattr(os, "access", access)
    old = tmp_path / "old"
    old.write_bytes(b"old")
    done = dump("--from", path, "--plot", tmp_path / name, "--write", old)
    assert (done.exit_code, done.stdout, old.read_bytes()) == (status, "", b"old")
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("option", ["--write", "--plot"])
def test_a_file_that_is_read_is_never_overwritten(path: Path, option: str) -> None:
    before = path.read_bytes()
    done = dump("--from", path.parent, option, path.parent / "." / "day.mseed")
    assert (done.exit_code, path.read_bytes()) == (2, before)
    assert "is one of the files that are read; write another one" in done.stderr


def test_what_is_skipped_is_reported_apart_from_the_data(path: Path) -> None:
    empty = path.with_name("empty")
    empty.touch()
    done = dump("--from", path.parent)
    assert done.exit_code == 0
    assert f"rawdaq-dump: {empty} is empty; skipped\n" in done.stderr
    assert all(LINE.fullmatch(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("args", "status", "reason"),
    [
        (["--from", "/absent/a"], 1, "rawdaq-dump: no waveforms to read in /absent/a"),
        (["--from", "a", "--connect", "tcp://127.0.0.1:1"], 2, "--from reads files, --connect a publisher"),
    ],
)
def test_what_cannot_be_done_says_why(args: Sequence[str], status: int, reason: str) -> None:
    done = dump(*args)
    assert (done.exit_code, done.stdout) == (status, "")
    assert reason in done.stderr


def test_latency_of_a_live_packet_is_its_age() -> None:
    packet: Packet = noise(size=100)
    assert Arrival(packet, packet.end_ns + S, None, 0).latency_ns == S
    assert Arrival(packet, None, None, 0).latency_ns is None
