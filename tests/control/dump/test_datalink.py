"""rawdaq-dump --connect datalink://: records as packets, and --info as tables."""

import json
import re
import threading

import pytest
from click.testing import CliRunner, Result

from rawdaq.control.dump.command import main
from rawdaq.datalink import BlockingDataLink, DataLink, ServerInfo
from rawdaq.protocols.datalink import ServerThread
from rawdaq.stream_id import StreamId
from rawdaq.subscriber.datalink import DataLinkReader
from tests.datalink_links import serving
from tests.datalink_server import Server
from tests.helpers import DEADLINE_S, wait_for
from tests.receivers.datalink_receivers import records, write

OTHER = StreamId("YY", "B", "", "HHZ")


def dump(*args: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, args)


def url_of(url: str) -> str:
    return url.replace("tcp://", "datalink://")


def feeding(server: Server) -> threading.Thread:
    """Start to write records, and other things, once a reader streams."""

    def feed() -> None:
        wait_for(lambda: server.sessions and server.sessions[-1].is_streaming)
        server.put("XX_A_00_LOG/JSON", 0, 0, b"{}")
        server.put("FDSN:XX_DEMO_00_H_H_Z/MSEED", 0, 0, b"garbage")
        write(server, records(1, OTHER))
        write(server, records(3))

    thread = threading.Thread(target=feed)
    thread.start()
    return thread


@pytest.mark.parametrize("transport", ["tcp", "ws"])
def test_a_server_is_shown_like_a_publisher(transport: str) -> None:
    with serving(transport) as (server, url):
        thread = feeding(server)
        shown = dump("--connect", url_of(url), "--count", "3", "--json", "--stream", "XX.*")
        thread.join()
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["end_ns"] for line in lines] == [each.end_ns for each in records(3)]
    assert [line["gap_s"] for line in lines] == [None, 0.0, 0.0]
    assert shown.exit_code == 0
    assert "3 packets of 1 stream" in shown.stderr
    assert "1 skipped that are not waveforms" in shown.stderr


def test_streams_that_no_pattern_names_are_named_when_nothing_else_comes() -> None:
    with serving() as (server, url):
        thread = feeding(server)
        shown = dump("--connect", url_of(url), "--seconds", "1.5", "--stream", "*.ZZZZ.*")
        thread.join()
    assert shown.exit_code == 1
    assert "selects none of XX.DEMO.00.HHZ, YY.B..HHZ" in shown.stderr


def test_the_end_of_the_connection_ends_it() -> None:
    with serving() as (server, url):

        def stop() -> None:
            wait_for(lambda: server.sessions and server.sessions[-1].is_streaming)
            server.cut_all()

        thread = threading.Thread(target=stop)
        thread.start()
        shown = dump("--connect", url_of(url))
        thread.join()
    assert shown.exit_code == 1
    assert "the other side closed the connection" in shown.stderr


def test_a_reader_can_be_closed_by_another_thread() -> None:
    with serving() as (server, url):
        reader = DataLinkReader(url)

        def close() -> None:
            wait_for(lambda: server.sessions and server.sessions[-1].is_streaming)
            reader.close()

        thread = threading.Thread(target=close)
        thread.start()
        assert list(reader) == []
        thread.join()
        reader.open()
        assert reader.receive(0.1) is None


async def test_a_reader_iterates_beside_an_event_loop() -> None:
    with serving() as (server, url):
        thread = feeding(server)
        reader, starts = DataLinkReader(url, "XX.*", timeout_s=DEADLINE_S), list[int]()
        async for packet in reader:
            starts.append(packet.start_ns)
            if len(starts) == 3:
                reader.timeout_s = 0.1
        assert starts == [each.start_ns for each in records(3)]
        reader.close()
        thread.join()


def test_a_server_is_asked_what_it_has() -> None:
    with serving() as (server, url):
        server.put("b/JSON", 0, 1_500_000, b"{}")
        server.put("a/JSON", 2_000_000, 3_000_000, b"{}")
        streams = dump("--connect", url_of(url), "--info", "streams")
        status = dump("--connect", url_of(url), "--info", "status")
        connections = dump("--connect", url_of(url), "--info", "connections")
        raw = dump("--connect", url_of(url), "--info", "streams", "--json")
    assert streams.stdout.splitlines() == [
        "stream  first  data begin                   last  data end                     latency s",
        "a/JSON  2      1970-01-01T00:00:02.000000Z  2     1970-01-01T00:00:03.000000Z  0.5",
        "b/JSON  1      1970-01-01T00:00:00.000000Z  1     1970-01-01T00:00:01.500000Z  0.5",
    ]
    lines = status.stdout.splitlines()
    assert [line.split(maxsplit=2)[-1] for line in lines[:3]] == [
        "Test",
        "DLPROTO:1.1 PACKETSIZE:512".split(maxsplit=1)[1],
        "2026-03-01T00:00:00.000000Z",
    ]
    assert [line for line in lines if re.fullmatch("latest packet id +2", line)]
    assert connections.stdout.splitlines()[1].split()[1:5] == [
        "DataLink",
        "localhost:1",
        "2026-03-01T00:00:00.000000Z",
        "3",
    ]
    assert json.loads(raw.stdout)["streams"][0]["name"] == "b/JSON"


def test_threads_of_a_server_are_shown_to_whom_it_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    info = ServerInfo(threads=[ServerThread(type="IPv4: DataLink", port=16000)])

    def answer(link: BlockingDataLink, kind: str) -> ServerInfo:
        return info

    monkeypatch.setattr(BlockingDataLink, "info", answer)
    with serving() as (_, url):
        shown = dump("--connect", url_of(url), "--info", "status")
    assert shown.stdout.splitlines()[-1] == "thread        IPv4: DataLink 16000"


def test_wrong_usage_and_absent_servers_are_told() -> None:
    with serving() as (_, url):
        pass
    shown = dump("--connect", url_of(url))
    assert shown.exit_code == 1
    assert "nothing listens there" in shown.stderr
    shown = dump("--connect", "datalink://h/path", "--info", "status")
    assert shown.exit_code == 2
    assert "'datalink://h/path' is no address" in shown.stderr
    shown = dump("--connect", "datalink://h", "--info", "stations")
    assert shown.exit_code == 2
    assert "'stations' is not one of status, streams, connections" in shown.stderr
    assert DataLink("datalinks://h").address.port == 16500
