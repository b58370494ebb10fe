"""``control-rawdaq journal`` and ``rawdaq-dump --from JOURNAL``."""

import json
from pathlib import Path

import pytest

from rawdaq.store.store import Store
from tests.forks import run_cli
from tests.subscriber.test_journal import fill

STATION = """\
station: {network: XX, code: AE, location: "00"}
AE:
  Receiver: {class: RawReceiver, channels: {1: HHZ}, port: 65535}
  Journal: {path: journal}
Other:
  Receiver: {class: RawReceiver, channels: {1: HHZ}, port: 65534}
"""


@pytest.fixture
def station(tmp_path: Path) -> Path:
    file = tmp_path / "station.yaml"
    file.write_text(STATION)
    return file


def test_the_content_of_a_journal_and_its_cursors_are_shown(station: Path) -> None:
    with Store(station.parent / "journal") as store:
        store.move_cursor("archive", store.next_position + 2)
        fill(store, 6)
    shown = run_cli(["control-rawdaq", "-c", str(station), "journal", "AE/AE"])
    assert shown.returncode == 0, shown.stderr
    assert "of 4000 MB" in shown.stdout
    assert "stream XX.DEMO.00.HHN: 3 entries, 2026-11-21T00:00:01" in shown.stdout
    assert "publisher archive: 4 packets, 4.0 s behind; position " in shown.stdout
    found = json.loads(run_cli(["control-rawdaq", "-c", str(station), "journal", "AE/AE", "--json"]).stdout)
    assert found["cursors"]["archive"]["behind_packets"] == 4
    assert found["streams"]["XX.DEMO.00.HHN"]["entries"] == 3


def test_without_a_journal_it_is_said_what_to_do(station: Path) -> None:
    control = ["control-rawdaq", "-c", str(station), "journal"]
    other, not_yet = run_cli([*control, "Other"]), run_cli([*control, "AE/AE"])
    assert (other.returncode, not_yet.returncode) == (1, 1)
    assert "Other has no journal; add `Journal: {path: journal}` to" in other.stderr
    assert "has not written a journal in" in not_yet.stderr


def test_dump_shows_the_packets_of_a_journal(tmp_path: Path) -> None:
    with Store(tmp_path / "journal") as store:
        fill(store, 6)
    journal = str(tmp_path / "journal")
    shown = run_cli(["rawdaq-dump", "--from", journal, "--json", "--stream", "*.HHN"])
    assert shown.returncode == 0, shown.stderr
    packets = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [each["frame"] for each in packets] == [1, 3, 5]
    mixed = run_cli(["rawdaq-dump", "--from", journal, "--from", str(tmp_path)])
    assert (mixed.returncode, "a journal is read alone" in mixed.stderr) == (2, True)
