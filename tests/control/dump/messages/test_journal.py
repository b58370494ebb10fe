"""rawdaq-dump shows the messages of a journal as it shows live ones, and says which it leaves out among packets."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rawdaq.control.dump.command import main
from rawdaq.journal.entries import EntryEncoder, Item
from rawdaq.messages.message import Message
from rawdaq.store.store import Store
from rawdaq.subscriber.journal_messages import JournalMessages
from tests.makers import START_NS, message, packet

EVENTS = [message(index).published(index, "T", START_NS + index) for index in (0, 1, 4)]
LOG = Message("~log", {"message": "started", "level": 20, "name": "daq"}).published(0, "Logs", START_NS)
NO_LOG = Message("~log", {"level": 20}).published(1, "Logs", START_NS)
ITEMS: list[Item] = [packet(0), EVENTS[0], LOG, b"plain", EVENTS[1], NO_LOG, packet(1), EVENTS[2]]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    encoder = EntryEncoder()
    with Store(tmp_path / "journal") as store:
        for number, item in enumerate(ITEMS):
            store.append([encoder.encode(item, number, START_NS)])
    return tmp_path / "journal"


def dump(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_messages_of_a_journal_are_shown_in_their_order_to_its_end(journal: Path) -> None:
    done = dump("--from", journal, "--events", "--logs", "--json")
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["kind"], each["frame"]) for each in shown] == [("event", 0), ("log", 0), ("event", 1), ("event", 4)]
    assert done.exit_code == 0
    assert "refused a message from ~log: wrong header: header key 'message' is missing" in done.stderr
    assert "rawdaq-dump: 4 messages in " in done.stderr
    assert f"2 lost ({EVENTS[0].topic}: 2), 1 skipped that are malformed" in done.stderr


def test_count_kinds_and_level_choose(journal: Path) -> None:
    assert len(dump("--from", journal, "--events", "--count", "2").stdout.splitlines()) == 2
    nothing = dump("--from", journal, "--logs", "--level", "error")
    assert (nothing.stdout, nothing.exit_code) == ("", 1)
    assert "0 lost, 1 skipped that are malformed, 2 came: --name and --level select" in nothing.stderr


def test_packets_are_shown_as_before_and_messages_among_them_are_told(journal: Path) -> None:
    done = dump("--from", journal)
    assert len(done.stdout.splitlines()) == 2
    assert "messages left out: 3 of the kind event and 2 of the kind log (--events --logs shows them)" in done.stderr


def test_a_folder_without_a_journal_and_two_journals_are_errors(tmp_path: Path, journal: Path) -> None:
    done = dump("--from", tmp_path, "--logs")
    assert (done.exit_code, done.stderr) == (
        1,
        f"rawdaq-dump: there is no journal in {tmp_path}; give the path of `Journal` in the station file\n",
    )
    assert "give its folder to one --from" in dump("--from", journal, "--from", journal, "--logs").stderr


def test_the_reader_may_be_closed_at_any_time_and_again(journal: Path) -> None:
    with JournalMessages(journal) as reader:
        assert next(reader) == EVENTS[0]
        reader.close()
        assert reader.receive() is None
    reader.close()
    assert (reader.received.total(), reader.has_ended) == (1, True)
