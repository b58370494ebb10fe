"""What is shown to people."""

from typing import Any

import pytest

from rawdaq.control import tables


def test_a_table_shows_what_a_component_says(capsys: pytest.CaptureFixture[str]) -> None:
    row: dict[str, Any] = {
        "title": "DEMO/Raw",
        "state": "paused",
        "pid": 5,
        "uptime_s": 3700,
        "receiver": {
            "version": "2.0",
            "endpoints": [{"address": "a:1", "connected": True}],
            "names": ["x"],
            "none": None,
        },
        "publishers": {"live": {"class": "Pub", "state": "paused", "paused_reason": "the disk is full", "dropped": 3}},
        "decimation": {
            "slow": {"rate_hz": 10.0, "type": "float32", "refused": 4, "reasons": {"XX.A..HHN": "its rate"}}
        },
        "streams": {"XX.A..HHZ": {"packets": 7, "rate_hz": 100.0}, "odd": 5},
        "journal": {"position": 9, "cursors": {"archive": {"behind_packets": 8, "behind_s": 2.5, "position": 1}}},
    }
    tables.print_status(row)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "DEMO/Raw paused pid 5, up 1 h 1 min".split()
    assert "version 2.0".split() in lines
    assert "endpoints: address a:1, connected yes".split() in lines
    assert "live Pub paused 3 the disk is full".split() in lines
    assert "slow 10 float32 4".split() in lines
    assert "XX.A..HHZ 7 100".split() in lines
    assert "journal: position 9".split() in lines
    assert "archive 8 2.5".split() in lines


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
