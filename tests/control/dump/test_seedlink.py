"""rawdaq-dump --connect seedlink://: records as packets, and --info as tables."""

import json
import threading

import pytest
from click.testing import CliRunner, Result

from rawdaq.control.dump.command import main
from tests.helpers import closed_port, wait_for
from tests.receivers.seedlink.running import stored
from tests.seedlink_peer import InThread, SeedLinkPeer, in_thread


def dump(*args: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, args)


def url(server: InThread, stations: str = "") -> str:
    return f"seedlink://127.0.0.1:{server.port}/{stations}"


@pytest.mark.parametrize("version", [3, 4])
def test_a_server_is_shown_like_a_publisher(version: int) -> None:
    with in_thread(SeedLinkPeer(version)) as server:

        def feed() -> None:
            wait_for(lambda: server.peer.requests)
            server.add(stored(0), stored(1))

        feeding = threading.Thread(target=feed)
        feeding.start()
        shown = dump("--connect", url(server, "XX_AAA:HHZ"), "--count", "2", "--json")
        feeding.join()
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["end_ns"] for line in lines] == [stored(second).end_ns for second in range(2)]
    assert [line["gap_s"] for line in lines] == [None, 0.0]
    assert shown.exit_code == 0
    assert "2 packets of 1 stream" in shown.stderr


def test_refusals_and_the_end_are_reported_on_stderr() -> None:
    peer = SeedLinkPeer(3)
    peer.refused = {"XX_AAA"}
    with in_thread(peer) as server:
        shown = dump("--connect", url(server, "XX_AAA"))
    assert shown.exit_code == 1
    assert "rawdaq-dump: the server refuses XX_AAA: 'ERROR' to STATION AAA XX" in shown.stderr
    assert "rawdaq-dump: the server refused all stations (XX_AAA)" in shown.stderr


TABLES = {
    (3, "id"): ["peer/1", "x", "started 2026-11-29T09:00:00.000000Z"],
    (4, "id"): ["peer/1", "The institute", "started 2026-11-29T09:00:00.000000Z"],
    (3, "stations"): ["XX_AAA     Hill"],
    (4, "stations"): ["XX_AAA     Hill"],
    (3, "streams"): ["XX_AAA     00_HHZ   2D  2026-11-29T09:00:00.000000Z - 2026-11-29T10:00:00.000000Z"],
    (3, "gaps"): [],
    (4, "capabilities"): ["TIME"],
    (4, "formats"): ["format 2  application/vnd.fdsn.mseed  (D: data)", "filter 3  miniSEED 3"],
    (4, "connections"): [
        "::1:7  since 2026-11-29T09:00:00.000000Z  slinktool/5  3 packets, 1536 bytes",
        ":0  since 1970-01-01T00:00:00.000000Z  -  0 packets",
    ],
}


@pytest.mark.parametrize(("version", "item"), TABLES)
def test_a_server_is_asked_what_it_has(version: int, item: str) -> None:
    peer = SeedLinkPeer(version)
    peer.store = [stored(0)]
    client = {"host": "::1", "client_port": "7", "client_id": "slinktool/5", "connect_time": "2026-11-29T09:00:00Z"}
    peer.more = {
        "CAPABILITIES": {"capability": ["TIME"]},
        "FORMATS": {
            "format": {"2": {"mimetype": "application/vnd.fdsn.mseed", "subformat": {"D": "data"}}},
            "filter": {"3": "miniSEED 3"},
        },
        "CONNECTIONS": {"connections": {"client": [client | {"transmit_packets": 3, "transmit_bytes": 1536}, {}]}},
    }
    with in_thread(peer) as server:
        shown = dump("--connect", url(server), "--info", item)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.splitlines() == TABLES[version, item]


def test_gaps_and_answers_as_they_came() -> None:
    peer = SeedLinkPeer(3)
    peer.store = [stored(0)]
    peer.as_streams = {"GAPS"}
    with in_thread(peer) as server:
        gaps = dump("--connect", url(server), "--info", "gaps")
        raw = dump("--connect", url(server), "--info", "id", "--json")
        whole = dump("--connect", url(server), "--info", "all")
    assert gaps.stdout == "XX_AAA     00_HHZ   2D  2026-11-29T09:10:00.000000Z - 2026-11-29T09:11:00.000000Z\n"
    assert raw.stdout.startswith('<?xml version="1.0"?><seedlink software="peer/1"')
    assert whole.stdout.startswith('<?xml version="1.0"?>')


WRONG: dict[tuple[str, ...], str] = {
    ("--connect", "tcp://127.0.0.1:1", "--info", "id"): "--info asks a server",
    ("--connect", "seedlink://h", "--info", "nonsense"): "'nonsense' is not one of id, capabilities",
    ("--connect", "seedlink://h:0", "--info", "id"): "is not an address like seedlink://",
    ("--connect", "seedlink://h:0"): "is not an address like seedlink://",
    ("--connect", "seedlink://h", "--connect", "seedlink://i"): "one server, or any number of publishers",
    ("--connect", "seedlink://h", "--connect", "tcp://i:1"): "one server, or any number of publishers",
}


@pytest.mark.parametrize("args", WRONG)
def test_wrong_usage_is_refused_with_the_reason(args: tuple[str, ...]) -> None:
    shown = dump(*args)
    assert shown.exit_code == 2
    assert WRONG[args] in shown.stderr


@pytest.mark.parametrize("more", [(), ("--info", "id")])
def test_no_server_is_an_error(more: tuple[str, ...]) -> None:
    with closed_port() as port:
        shown = dump("--connect", f"seedlink://127.0.0.1:{port}", *more)
    assert shown.exit_code == 1
    assert "no SeedLink server at 127.0.0.1" in shown.stderr
