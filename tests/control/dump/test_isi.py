"""rawdaq-dump --connect isi://: streams as packets, and --info as tables."""

import json
import signal
import socket
import subprocess
import threading

import pytest
from click.testing import CliRunner, Result

from rawdaq.control.dump.command import main
from rawdaq.times import NS_PER_S
from tests.helpers import closed_port, command, environment, wait_for
from tests.isi.entries import Cnf, Soh
from tests.isi.in_thread import isi_in_thread
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import Cause, Kind, Name, Rate, word
from tests.makers import START_NS
from tests.receivers.isi.running import START_S, add


def dump(*args: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, args)


def url(peer: IsiServerPeer, rest: str = "") -> str:
    return f"isi://127.0.0.1:{peer.port}{rest}"


def filled() -> IsiServerPeer:
    peer = IsiServerPeer(lambda: START_S + 20)
    add(peer, 0, 1, 3)
    peer.declare("pfo", "lhz", "  ", 1)
    return peer


def test_a_server_is_shown_like_a_publisher() -> None:
    peer = filled()
    with isi_in_thread(peer) as server:

        def feed() -> None:
            wait_for(lambda: peer.feeds)
            server.call(lambda: add(peer, 4))
            server.call(lambda: peer.send_frame(Kind.GENERIC_TS, b"short"))
            server.call(lambda: add(peer, 5))

        feeding = threading.Thread(target=feed)
        feeding.start()
        shown = dump("--connect", url(peer, "/IU/aak.bhz.00"), "--count", "3", "--json")
        feeding.join()
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["start_ns"] for line in lines] == [START_NS + second * NS_PER_S for second in (3, 4, 5)]
    assert {line["stream"] for line in lines} == {"IU.AAK.00.BHZ"}
    assert shown.exit_code == 0
    assert "3 packets of 1 stream" in shown.stderr
    assert peer.violations == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_question_that_is_not_answered_ends_by_a_signal(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"isi://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(command("rawdaq-dump", "--connect", address, "--info", "soh"), env=environment())
        connection, _ = silent.accept()
        with connection, process:
            assert connection.recv(4) == b"IACP"
            process.send_signal(number)
            assert process.wait(10)


def test_the_end_is_reported_on_stderr() -> None:
    peer = filled()
    with isi_in_thread(peer) as server:
        missing = dump("--connect", url(peer, "/AAK.bhz.00"))

        def alert() -> None:
            wait_for(lambda: peer.feeds)
            server.call(lambda: peer.send_frame(Kind.ALERT, word(Cause.SHUTDOWN)))

        alerting = threading.Thread(target=alert)
        alerting.start()
        ended = dump("--connect", url(peer))
        alerting.join()
    assert missing.exit_code == 1
    assert f"rawdaq-dump: 127.0.0.1:{peer.port} has no stream AAK.bhz.00" in missing.stderr
    assert "ended the connection: shutdown in progress" in ended.stderr


TABLES = {
    "soh": [
        "aak     bhz 00  2 segments  3 records  2026-11-21T00:00:00.000000Z - 2026-11-21T00:00:03.950000Z  "
        "last write 0.0 s ago",
        "pfo     lhz --  0 segments  0 records  - - -  nothing came",
    ],
    "cnf": ["aak     bhz 00  20 Hz  42.6375 74.4942  1633 m  depth 30 m  sts1", "pfo     lhz --  1 Hz  -  -"],
}


@pytest.mark.parametrize("item", TABLES)
def test_a_server_is_asked_what_it_has(item: str) -> None:
    peer = filled()
    aak = Name("aak", "bhz", "00")
    peer.store.configurations[aak] = Cnf(aak, Rate(20, 1), (42.6375, 74.4942, 1633.0, 30.0), instype="sts1")
    with isi_in_thread(peer):
        shown = dump("--connect", url(peer), "--info", item)
        some = dump("--connect", url(peer, "/*.lhz"), "--info", item)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.splitlines() == TABLES[item]
    assert some.stdout.splitlines() == TABLES[item][1:]
    assert peer.violations == []


def test_the_lines_of_the_table_wfdisc_are_shown_as_they_are() -> None:
    peer = filled()
    with isi_in_thread(peer):
        shown = dump("--connect", url(peer), "--info", "wfdisc")
        as_json = dump("--connect", url(peer), "--info", "wfdisc", "--json")
    lines = shown.stdout.splitlines()
    assert [len(line) for line in lines] == [283, 283]
    assert lines[0].startswith("aak    bhz00     1795219200.00000")
    assert [json.loads(line)["wfdisc"] for line in as_json.stdout.splitlines()] == lines


def test_a_report_of_a_stream_that_there_is_not_is_an_error() -> None:
    peer = filled()
    with isi_in_thread(peer):
        shown = dump("--connect", url(peer, "/xyz.bhz.00"), "--info", "soh")
    assert shown.exit_code == 1
    assert "has no stream xyz.bhz.00" in shown.stderr


def test_what_a_server_sends_does_not_change_a_terminal() -> None:
    peer = filled()
    aak = Name("aak", "bhz", "00")
    peer.store.configurations[aak] = Cnf(aak, Rate(20, 1), instype="\x1b[2J")
    with isi_in_thread(peer):
        shown = dump("--connect", url(peer), "--info", "cnf")
    assert shown.stdout.splitlines()[0] == "aak     bhz 00  20 Hz  -  ?[2J"


def test_reports_in_json() -> None:
    peer = filled()
    aak = Name("aak", "bhz", "00")
    peer.store.states[aak] = Soh(aak, START_S, START_S + 1, 2.5, 1, 7)
    peer.store.configurations[aak] = Cnf(aak, Rate(-10, 1), (42.6375, 74.4942, 1633.0, 30.0))
    with isi_in_thread(peer):
        soh = dump("--connect", url(peer), "--info", "soh", "--json")
        cnf = dump("--connect", url(peer), "--info", "cnf", "--json")
    first, empty = map(json.loads, soh.stdout.splitlines())
    assert first == {
        "stream": "aak.bhz.00",
        "oldest_ns": START_NS,
        "newest_ns": START_NS + NS_PER_S,
        "age_s": 2.5,
        "segments": 1,
        "records": 7,
    }
    assert (empty["oldest_ns"], empty["age_s"]) == (None, None)
    assert json.loads(cnf.stdout.splitlines()[0]) == {
        "stream": "aak.bhz.00",
        "rate_hz": 0.1,
        "coordinates": {"latitude": 42.6375, "longitude": 74.4942, "elevation_m": 1633.0, "depth_m": 30.0},
        "instrument": "-",
    }


WRONG: dict[tuple[str, ...], str] = {
    ("--connect", "isi://h", "--info", "nonsense"): "'nonsense' is not one of soh, cnf, wfdisc",
    ("--connect", "isi://h:0", "--info", "soh"): "is not an address like isi://",
    ("--connect", "isi://h/aak.bh*.00"): "an address is like isi://HOST:PORT/NET/STA.CHN.LOC",
    ("--connect", "isi://h/ii/aak.bhz.00"): "network 'ii' is not",
    ("--connect", "isi://h", "--connect", "tcp://i:1"): "one server, or any number of publishers",
}


@pytest.mark.parametrize("args", WRONG)
def test_wrong_usage_is_refused_with_the_reason(args: tuple[str, ...]) -> None:
    shown = dump(*args)
    assert shown.exit_code == 2
    assert WRONG[args] in shown.stderr


def test_no_server_and_a_silent_one_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        for more in ((), ("--info", "soh")):
            shown = dump("--connect", f"isi://127.0.0.1:{port}", *more)
            assert shown.exit_code == 1
            assert "no ISI server at 127.0.0.1" in shown.stderr
    monkeypatch.setattr("rawdaq.subscriber.isi._REPLY_S", 0.1)
    peer = filled()
    peer.silence()
    with isi_in_thread(peer) as server:
        shown = dump("--connect", url(peer), "--info", "soh")
        server.call(peer.speak)
    assert "does not answer within 0.1 s" in shown.stderr
