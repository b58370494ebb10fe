"""What is shown to people."""

import io
import re
from typing import Any

import pytest

from rawdaq.control.status import tables

ROW: dict[str, Any] = {
    "title": "DEMO/Raw",
    "state": "paused",
    "pid": 5,
    "uptime_s": 3700,
    "problems": ["live is paused: the disk is full; holds 3 packets, 2 min 8 s, 0.1 MB", "paused by command"],
    "receiver": {"version": "2.0", "endpoints": [{"address": "a:1", "connected": True}], "names": ["x"], "none": None},
    "publishers": {"live": {"class": "Pub", "state": "paused", "paused_reason": "the disk is full", "dropped": 3}},
    "decimation": {"slow": {"rate_hz": 10.0, "type": "float32", "refused": 4, "reasons": {"XX.A..HHN": "its rate"}}},
    "journal": {"position": 9, "cursors": {"archive": {"behind_packets": 8, "behind_s": 2.5, "position": 1}}},
    "streams": {
        "XX.A..HHZ": {
            "packets": 7,
            "rate_hz": 100.0,
            "age_s": 4577.9,
            "latency_s": -4576.712345,
            "gap_s": 0.0,
            "gaps": 0,
            "last_sample": "2026-11-21T00:00:01.990000Z",
        },
        "XX.STATN.00.HHZ": {"packets": 1_000_000_000, "rate_hz": 62.5, "silent_s": 128.0, "age_s": 129.0, "gaps": 10},
        "odd": 5,
    },
}


def test_a_table_shows_what_a_component_says(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_status(ROW)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "DEMO/Raw paused pid 5, up 1 h 1 min".split()
    assert lines[1] == "! live is paused: the disk is full; holds 3 packets, 2 min 8 s, 0.1 MB".split()
    assert lines[2] == "! paused by command".split()
    assert "version 2.0".split() in lines
    assert "endpoints: address a:1, connected yes".split() in lines
    assert "live paused 3 Pub".split() in lines
    assert "slow 10 float32 4".split() in lines
    assert "journal: position 9".split() in lines
    assert "archive 8 2.500 s".split() in lines
    assert "XX.A..HHZ 4577.9 s -4576.7 s 0 2026-11-21T00:00:01Z 100 7".split() in lines
    assert "XX.STATN.00.HHZ silent for 2 min 8 s 10 62.5 1000000000".split() in lines


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 40])
def test_tables_fit_the_terminal_and_break_no_name_and_no_time(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    tables.print_status(ROW)
    other: dict[str, Any] = {"title": "DEMO/Other", "state": "stopped"}
    tables.print_summary([ROW, other])
    out = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= width
    shown = [line for line in lines if line.startswith("XX.STATN.00.HHZ ")]
    assert len(shown) == 1
    assert "silent for 2 min 8 s" in shown[0]
    assert ("2026-11-21T00:00:01Z" in out) == ("last sample" in out) == (width == 80)
    assert lines[-1] == "DEMO/Other  stopped"


def test_the_list_cuts_no_name_but_the_longest_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    row: dict[str, Any] = {
        "component": "XX.STATN.RawReceiver",
        "state": "running",
        "pid": 4_000_000,
        "receiver": "RawReceiver",
        "publishers": ["live", "archive", "another", "seedlink"],
        "file": "/etc/rawdaq/stations/XX.STATN.yaml",
    }
    tables.print_list([row])
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()]
    assert max(map(len, lines)) <= 80
    assert "XX.STATN.RawReceiver" in lines[-1]
    assert "4000000" in lines[-1]
    assert lines[-1].endswith("…")


def test_the_summary_is_one_line_a_component(capsys: pytest.CaptureFixture[str]) -> None:
    good: dict[str, Any] = {
        "title": "A/Raw",
        "state": "running",
        "pid": 7,
        "uptime_s": 61,
        "streams": {"XX.A..HHZ": {"age_s": 0.52}, "XX.A..HHN": {"age_s": 3.0}, "XX.A..HHE": {}},
        "problems": [],
    }
    without_streams: dict[str, Any] = {**good, "streams": {}}
    messages: dict[str, Any] = {**without_streams, "topics": {"~log": {"age_s": 1.5, "messages": 3}}}
    tables.print_summary([good, ROW, without_streams, messages])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        "A/Raw running pid 7, up 1 min 1 s, 3 streams, newest 0.520 s old".split(),
        f"DEMO/Raw paused {'; '.join(ROW['problems'])}".split(),
        "A/Raw running pid 7, up 1 min 1 s".split(),
        "A/Raw running pid 7, up 1 min 1 s, 1 topic, newest 1.500 s old".split(),
    ]
    tables.print_status(messages)
    assert [line.split() for line in capsys.readouterr().out.splitlines()][-2:] == [
        ["topics", "age", "messages"],
        ["~log", "1.500", "s", "3"],
    ]
    tables.print_problems([good, ROW])
    assert capsys.readouterr().out == f"DEMO/Raw  paused  {'; '.join(ROW['problems'])}\n"


def test_a_table_counts_channels_that_would_be_too_many_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for count in (12, 13):
        names = [f"XX.A..H{number:02d}" for number in range(count)]
        channels = {str(number): {"stream": name, "rate_hz": 100.0} for number, name in enumerate(names)}
        streams = {name: {"packets": 7} for name in names}
        row: dict[str, Any] = {"title": "A/Raw", "receiver": {"channels": channels}, "streams": streams}
        tables.print_status(row | {"state": "running"})
        out = capsys.readouterr().out
        assert out.count("rate_hz 100") == (12 if count == 12 else 0)
        assert ("channels: 13 (--json shows them)" in out) == (count == 13)
        assert sum(line.split() == [name, "7"] for line in out.splitlines() for name in names) == count


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (65, "1 min 5 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")])
def test_a_duration_is_said_as_a_person_says_it(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text
