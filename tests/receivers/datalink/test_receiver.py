"""DataLinkReceiver against a strict server: every packet once, through cuts, restarts and rings that change."""

import asyncio
import errno
import io
import json
import logging
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import obspy
import pytest

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.protocols.datalink import read_envelope
from rawdaq.receivers.datalink import DataLinkReceiver
from rawdaq.stream_id import StreamId
from rawdaq.times import to_iso
from tests.datalink_links import CERTIFICATE, TRANSPORTS, serving
from tests.datalink_server import Cut, Server
from tests.helpers import until
from tests.receivers.datalink_receivers import STATION, Keeper, receiver, records, write
from tests.servers import serving as running

OTHER = StreamId("XX", "DEMO", "10", "HHE")


def url_of(url: str) -> str:
    return url.replace("tcp://", "datalink://").replace("tls://", "datalinks://")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("version", "kind"), [(2, "MSEED"), (3, "MSEED3")])
async def test_samples_are_those_of_the_records(transport: str, version: int, kind: str, tmp_path: Path) -> None:
    some, keeper = records(30, version=version), Keeper()
    with serving(transport) as (server, url):
        write(server, some[:20], kind)
        one = receiver(url_of(url), keeper, tmp_path / "state", ca_file=CERTIFICATE)
        async with running(one):
            await until(lambda: len(keeper.packets) == 20)
            write(server, some[20:], kind)
            await until(lambda: len(keeper.packets) == 30)
            shown: Any = one.cmd_status()["receiver"]
            assert (shown["packets"], shown["packet_id"], shown["duplicates"], shown["lost"]) == (30, 30, 0, 0)
            assert shown["endpoints"][0]["connected"]
            assert shown["endpoints"][0]["address"] == url_of(url)
        first = keeper.packets[0]
        assert (first.start_ns, first.rate_hz, first.sequence) == (some[0].start_ns, 100.0, 0)
        assert first.received_ns > 0
        if version == 2:
            stream: Any = obspy.read(io.BytesIO(b"".join(each.data for each in some)), format="MSEED")
            assert keeper.samples() == np.concatenate([trace.data for trace in stream]).tolist()
        assert keeper.starts == [each.start_ns for each in some]
        assert server.errors == []


async def test_a_restart_repeats_nothing_and_leaves_out_nothing(tmp_path: Path) -> None:
    some, keeper = records(60), Keeper()
    with serving() as (server, url):
        for end in (20, 40, 60):
            write(server, some[end - 20 : end - 5])
            async with running(receiver(url, keeper, tmp_path / "a" / "state")):
                await until(lambda end=end: len(keeper.packets) == end - 5)  # type: ignore[misc]
            write(server, some[end - 5 : end])
        async with running(receiver(url, keeper, tmp_path / "a" / "state")):
            await until(lambda: len(keeper.packets) == 60)
        assert keeper.starts == [each.start_ns for each in some]


@pytest.mark.parametrize("seed", range(4))
async def test_every_packet_comes_once_whatever_is_cut(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    some, keeper = records(300), Keeper()
    with serving(chance.choice(["tcp", "ws"]), capacity=1000) as (server, url):
        for begin in range(0, 300, 30):
            for _ in range(chance.randrange(6)):
                limit = chance.randrange(1, 20_000)
                server.next_cuts.append(Cut(sent=limit, with_reset=chance.random() < 0.5))
            async with running(receiver(url, keeper, tmp_path / "state", timeout_s=5.0)):
                for at in range(begin, begin + 30, 10):
                    write(server, some[at : at + 10])
                    if chance.random() < 0.3:
                        server.cut_all(with_reset=chance.random() < 0.5)
                if chance.random() < 0.5:
                    server.stop()
                    server.start()
                await until(lambda begin=begin: len(keeper.packets) >= begin + 30)  # type: ignore[misc]
        assert keeper.starts == [each.start_ns for each in some]


async def test_expressions_choose(tmp_path: Path) -> None:
    keeper = Keeper()
    with serving() as (server, url):
        write(server, records(3))
        write(server, records(3, OTHER))
        one = receiver(url, keeper, tmp_path / "state", match="XX_.*/MSEED", reject="_10_")
        async with running(one):
            await until(lambda: len(keeper.packets) == 3)
            write(server, records(4, OTHER)[3:])
            write(server, records(4)[3:])
            await until(lambda: len(keeper.packets) == 4)
        assert {packet.stream for packet in keeper.packets} == {records(1)[0].stream}
        assert one.receiver_status()["lost"] == 0  # numbers jump, as others are left out


@pytest.mark.parametrize(("start", "first"), [("earliest", 0), ("resume", 0), ("latest", 10), ("TIME", 4)])
async def test_where_to_begin_the_first_time(start: str, first: int, tmp_path: Path) -> None:
    some, keeper = records(12), Keeper()
    with serving() as (server, url):
        write(server, some[:10])
        if start == "TIME":
            start = to_iso(some[4].start_ns + 5_000_000, 9)
        async with running(receiver(url, keeper, tmp_path / "state", start=start)):
            await until(lambda: server.sessions and server.sessions[0].is_streaming)
            write(server, some[10:])
            await until(lambda: len(keeper.packets) == 12 - first)
        assert keeper.starts == [each.start_ns for each in some[first:]]


@pytest.mark.parametrize("start", ["latest", "earliest", "2040-01-01T00:00:00"])
async def test_an_empty_ring_and_a_future_time_wait_for_what_comes(start: str, tmp_path: Path) -> None:
    some, keeper = records(3), Keeper()
    with serving() as (server, url):
        async with running(receiver(url, keeper, tmp_path / "state", start=start)):
            await until(lambda: server.sessions and server.sessions[0].is_streaming)
            write(server, some)
            await until(lambda: len(keeper.packets) == 3)


async def test_a_time_after_all_there_is_begins_with_what_comes(tmp_path: Path) -> None:
    some, keeper = records(3), Keeper()
    with serving() as (server, url):
        write(server, some[:2])
        async with running(receiver(url, keeper, tmp_path / "state", start="2040-01-01T00:00:00")):
            await until(lambda: server.sessions and server.sessions[0].is_streaming)
            write(server, some[2:])
            await until(lambda: keeper.packets)
            assert keeper.starts == [some[2].start_ns]


async def test_what_came_while_we_were_away_is_not_missed_when_nothing_was_read_before(tmp_path: Path) -> None:
    some, keeper = records(5), Keeper()
    with serving() as (server, url):
        write(server, some[:2])
        async with running(receiver(url, keeper, tmp_path / "state", start="latest")):
            await until(lambda: server.sessions and server.sessions[0].is_streaming)
            server.stop()
            write_quietly(server, some[2:])
            server.start()
            await until(lambda: len(keeper.packets) == 3)
        assert keeper.starts == [each.start_ns for each in some[2:]]


def write_quietly(server: Server, some: Any) -> None:
    for each in some:
        server.ring.put(b"FDSN:XX_DEMO_00_H_H_Z/MSEED", each.start_ns // 1000, each.end_ns // 1000, each.data)


async def test_min_delay_goes_on_with_the_newest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some, keeper = records(20), Keeper()
    with serving() as (server, url):
        write(server, some[:5])
        options = {"policy": "min_delay", "start": "earliest"}
        async with running(receiver(url, keeper, tmp_path / "state", **options)):
            await until(lambda: len(keeper.packets) == 5)
            sessions = len(server.sessions)
            server.stop()
            write_quietly(server, some[5:15])
            server.start()
            await until(lambda: len(server.sessions) > sessions and server.sessions[-1].is_streaming)
            write(server, some[15:])
            await until(lambda: len(keeper.packets) == 10)
        assert keeper.starts == [each.start_ns for each in [*some[:5], *some[15:]]]
        assert "goes on with the newest packet, not behind packet 5 of" in caplog.text


async def test_a_ring_that_was_overwritten_is_told_with_the_extent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some, keeper = records(50), Keeper()
    with serving(capacity=10) as (server, url):
        write(server, some[:5])
        one = receiver(url, keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: len(keeper.packets) == 5)
            server.stop()
            write_quietly(server, some[5:])
            server.start()
            await until(lambda: len(keeper.packets) == 15)
            assert one.receiver_status()["lost"] == 35
        assert keeper.starts == [each.start_ns for each in [*some[:5], *some[40:]]]
        assert "the server has overwritten packets 6 to 40, of " in caplog.text


async def test_a_reader_that_is_overtaken_while_it_streams_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some, keeper = records(40), Keeper()
    with serving(capacity=10) as (server, url):
        write(server, some[:5])
        one = receiver(url, keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: len(keeper.packets) == 5)
            with server.lock:
                write(server, some[5:])
            await until(lambda: keeper.packets[-1].start_ns == some[39].start_ns)
            lost = one.receiver_status()["lost"]
        assert lost == 40 - len(keeper.packets)
        assert "packets are missing before packet" in caplog.text


async def test_a_server_that_crashed_repeats_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its last packets are gone, and their ids are given to others."""
    some, keeper = records(40), Keeper()
    with serving() as (server, url):
        async with running(receiver(url, keeper, tmp_path / "state")) as _:
            for at in range(0, 20, 4):
                write(server, some[at : at + 4])
                await until(lambda at=at: len(keeper.packets) == at + 4)  # type: ignore[misc]
        async with running(receiver(url, keeper, tmp_path / "state")):
            await until(lambda: server.sessions[-1].is_streaming)
            server.stop()
            server.ring.crash(lost=3)
            write_quietly(server, some[20:30])
            server.start()
            await until(lambda: len(keeper.packets) == 30)
            write(server, some[30:])
            await until(lambda: len(keeper.packets) == 40)
        assert keeper.starts == [each.start_ns for each in some]
        assert "its ring began anew" in caplog.text or "goes on behind packet" in caplog.text


async def test_an_older_mark_is_gone_back_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some, keeper = records(40), Keeper()
    with serving() as (server, url):
        for end in (10, 20):  # each stop leaves a mark
            write(server, some[end - 10 : end])
            async with running(receiver(url, keeper, tmp_path / "state")):
                await until(lambda end=end: len(keeper.packets) == end)  # type: ignore[misc]
        server.ring.crash(lost=3)
        write(server, some[20:25])
        caplog.clear()
        one = receiver(url, keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: len(keeper.packets) == 25)
            assert one.receiver_status()["duplicates"] == 7
        assert "the server no longer has packet 20 of" in caplog.text
        assert "it goes on behind packet 10 of" in caplog.text
        assert keeper.starts == [each.start_ns for each in some[:25]]


async def test_another_server_is_read_without_what_was_read_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some, keeper = records(20), Keeper()
    with serving() as (server, url):
        write(server, some[:10])
        async with running(receiver(url, keeper, tmp_path / "state")):
            await until(lambda: len(keeper.packets) == 10)
    with serving() as (server, url):
        write(server, some[5:15])
        one = receiver(url, keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: len(keeper.packets) == 15)
            write(server, [some[0], *some[15:]])  # what comes late after new data is new
            await until(lambda: len(keeper.packets) == 21)
            assert one.receiver_status()["duplicates"] == 5
        assert keeper.starts == [each.start_ns for each in [*some[:15], some[0], *some[15:]]]
        assert "its ring began anew, or it is another server" in caplog.text


async def test_packets_that_come_twice_are_dropped_and_counted(tmp_path: Path) -> None:
    some, keeper = records(5), Keeper()
    with serving() as (server, url):
        write(server, [*some, *some])
        one = receiver(url, keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: one.receiver_status()["packets"] == 10)
            assert one.receiver_status()["duplicates"] == 5
        assert keeper.starts == [each.start_ns for each in some]


@pytest.mark.parametrize("other", ["json", "bytes", "skip"])
async def test_other_packets_are_passed_on_as_it_is_wanted(other: str, tmp_path: Path) -> None:
    keeper = Keeper()
    with serving() as (server, url):
        server.put("XX_A_00_LOG/JSON", 1, 2, b'{"a": 1}')
        server.put("XX_A_00_LOG/RAW", 3, 4, b"\xff")
        write(server, records(1))
        one = receiver(url, keeper, tmp_path / "state", other=other)
        async with running(one):
            await until(lambda: keeper.packets)
            assert one.receiver_status()["skipped"] == (2 if other == "skip" else 0)
        if other == "json":
            first, second = map(read_envelope, keeper.other)
            assert (first.stream_id, first.packet_id, first.start_ns, first.data) == (
                "XX_A_00_LOG/JSON",
                1,
                1000,
                b'{"a": 1}',
            )
            assert second.data == b"\xff"
            assert json.loads(keeper.other[0])["text"] == '{"a": 1}'
        else:
            assert keeper.other == ([b'{"a": 1}', b"\xff"] if other == "bytes" else [])


async def test_a_record_that_cannot_be_read_is_refused_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper()
    with serving() as (server, url):
        server.put("FDSN:XX_DEMO_00_H_H_Z/MSEED", 0, 0, b"garbage")
        write(server, records(1))
        one = receiver(url, keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: keeper.packets)
            assert one.receiver_status()["refused"] == 1
        assert "refused a packet from FDSN:XX_DEMO_00_H_H_Z/MSEED: unreadable record: packet 1 of" in caplog.text


async def test_a_server_that_is_away_is_told_once_and_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper()
    server = Server()
    server.start()
    server.stop()
    with caplog.at_level(logging.INFO):
        one = receiver(url_of(server.url), keeper, tmp_path / "state")
        async with running(one):
            await until(lambda: one.endpoint._outage.elapsed_s > 0.2)
            server.start()
            await until(lambda: one.endpoint.link is not None)
            assert one.endpoint.status()["last_failure"] is None
        server.stop()
    assert caplog.text.count("nothing listens there") == 1
    assert "connected to datalink://127.0.0.1" in caplog.text
    assert " again after " in caplog.text


async def test_a_state_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for content, reason in (
        (b"{", "Expecting"),
        (b"[]", "no marks or no ends"),
        (b'{"marks": [1], "ends": {}}', "marks"),
    ):
        state.write_bytes(content)
        with pytest.raises(ComponentError, match=f"cannot read the state in .*{reason}.*repair it, or remove it"):
            await receiver("datalink://localhost", Keeper(), state).serve()
    state.unlink()
    state.mkdir()
    with pytest.raises(ComponentError, match="directory"):
        await receiver("datalink://localhost", Keeper(), state).serve()


class FullDisk:
    """A disk without room, until it has some."""

    is_full = True

    def save(self, path: Path, text: str) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_state_that_cannot_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.receivers.datalink.receiver._SAVE_S", 0.02)
    disk = FullDisk()
    monkeypatch.setattr("rawdaq.receivers.datalink.receiver.save", disk.save)
    with serving() as (server, url), caplog.at_level(logging.INFO):
        write(server, records(1))
        one = receiver(url, Keeper(), tmp_path / "state")
        async with running(one):
            await until(lambda: "No space left on device" in str(one.receiver_status()["state_error"]))
            disk.is_full = False
            await until(lambda: one.receiver_status()["state_error"] is None)
        assert caplog.text.count("cannot write") == 1
        assert "is written again" in caplog.text


async def test_the_state_is_saved_while_it_runs_when_all_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawdaq.receivers.datalink.receiver._SAVE_S", 0.02)

    class Slow(Keeper):
        def __init__(self) -> None:
            super().__init__()
            self.may_deliver = asyncio.Event()

        async def deliver(self, batch: Any) -> None:
            await self.may_deliver.wait()
            await super().deliver(batch)

    keeper, state = Slow(), tmp_path / "state"
    with serving() as (server, url):
        write(server, records(3))
        one = receiver(url, keeper, state)
        async with running(one):
            await until(lambda: one.receiver_status()["packets"] == 3)
            for _ in range(50):
                await asyncio.sleep(0)
            assert not state.exists()
            keeper.may_deliver.set()
            await until(state.exists)
            assert json.loads(state.read_text())["marks"][0][0] == 3


def options(**changes: object) -> dict[str, Any]:
    given = {"url": "datalink://localhost", "user": "", "password_file": None, "token_file": None, "state": Path("s")}
    return {**given, **changes}


def test_options_that_do_not_go_together_are_told() -> None:
    assert DataLinkReceiver.streams(STATION, options()) == []
    with pytest.raises(InvalidValue, match="user and password_file belong together"):
        DataLinkReceiver.streams(STATION, options(user="me"))
    assert DataLinkReceiver.exclusive(options()) == ["file s"]


def test_values_that_cannot_be_are_told(tmp_path: Path) -> None:
    from rawdaq.config.options import read_options

    given = {"url": "http://x", "match": "(", "start": "yesterday", "policy": "none"}
    _, mistakes = read_options(DataLinkReceiver, given, tmp_path)
    told = " ".join(mistake.text for mistake in mistakes)
    assert "'http://x' is no address" in told
    assert "'(' is no regular expression" in told
    assert "'yesterday' is neither resume, earliest, latest nor a UTC time" in told
    made, mistakes = read_options(DataLinkReceiver, {"url": "datalink://x"}, tmp_path)
    assert mistakes == []
    assert made["state"] == tmp_path / "datalink-state.json"
