"""ISI from a ring, as a strict client sees it that does what IDA's toolkit does, its faults too."""

import logging
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawdaq.publishers.ring import RingPublisher
from rawdaq.ring.names import isi_name
from rawdaq.ring.reading import RingReader
from rawdaq.ring.server.isi import session
from rawdaq.ring.server.isi.names import IsiNames
from rawdaq.ring.server.recognition import Spoken, recognise
from rawdaq.ring.server.settings import ListenSettings, TlsSettings
from tests.helpers import until
from tests.isi.client_peer import Acknowledgement
from tests.isi.entries import Cnf, Soh, unpack_wfdisc
from tests.isi.wire import (
    IDA,
    KEEPUP,
    MIN_DELAY,
    NATIVE,
    NEWEST,
    NONE,
    OLDEST,
    UNDEFINED,
    Cause,
    Kind,
    Rate,
    Request,
    word,
)
from tests.ring.isi_clients import ISI, Z, client, numbers, peers_of
from tests.ring.records import NS_PER_S, START_S, STREAMS, name, packet, packets
from tests.ring.rings import feed, serving


def named(answer: Acknowledgement) -> list[str]:
    return [str(window.name) for window in answer.windows]


async def test_a_window_is_whole_packets_of_all_streams_that_are_meant(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, packets(0, 40))
        async with client(publisher) as peer:
            answer = await peer.request_data("aaa.*.*", START_S + 8.5, START_S + 13.0)
            assert named(answer) == ["aaa.hhn.00", Z]
            got, cause = await peer.until_alert()
            assert (numbers(got), cause) == ([8, 9, 12, 13], Cause.COMPLETE)
            assert {each.compression for each in got} == {IDA}
            await peer.end()
        async with client(publisher) as peer:  # a location that there is not, in front of one that is asked for twice
            await peer.request_data("bbb.hhz+ccc.bhz.00+bbb.*.*", OLDEST, NEWEST, compress=NONE)
            assert [str(window.name) for window in peer.acknowledged.windows] == ["bbb.hhz.  "] * 2
            got, _ = await peer.until_alert()
            assert numbers(got) == list(range(2, 40, 4))  # once, also what two windows mean
            assert {each.compression for each in got} == {NONE}
            await until(lambda: not publisher.status()["streaming_count"])  # it has not closed its side
        async with client(publisher) as peer:
            await peer.request_data("bbb.hhz", OLDEST, NEWEST, compress=99)
            got, _ = await peer.until_alert()
            assert (len(numbers(got)), {each.compression for each in got}) == (10, {IDA})


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (OLDEST, NEWEST, range(10)),
        (OLDEST, OLDEST, [0]),
        (NEWEST, NEWEST, [9]),
        (UNDEFINED, NEWEST, range(10)),
        (KEEPUP, NEWEST, range(10)),
        (OLDEST, UNDEFINED, []),
        (NEWEST, OLDEST, []),
        (0.0, START_S + 1.5, [0, 1]),
        (START_S + 2.0, START_S + 4.0, [2, 3, 4]),
        (START_S + 2.991, START_S + 3.5, [3]),
        (START_S + 8.0, START_S + 1e6, [8, 9]),
        (START_S + 1e6, START_S + 2e6, []),
        (START_S + 5.0, START_S + 3.0, []),
        (0.0, START_S - 1.0, []),
        (-1e300, 9_999_999_999.999, range(10)),  # as tables of CSS have what has no end
        (1e300, 2e300, []),
    ],
)
async def test_times_and_what_stands_for_them(
    tmp_path: Path, begin: float, end: float, expected: Sequence[int]
) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(10)])
        async with client(publisher) as peer:
            answer = await peer.request_data(Z, begin, end)
            assert [(window.beg, window.end) for window in answer.windows] == [(begin, end)]
            got, cause = await peer.until_alert()
            assert (numbers(got), cause) == (list(expected), Cause.COMPLETE)


async def test_what_comes_is_sent_at_once_and_a_client_goes_on_where_it_was(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, packets(0, 8))
        async with client(publisher) as peer:
            await peer.request_data("*.*.*", NEWEST, KEEPUP)
            assert numbers(await peer.packets(4)) == [4, 5, 6, 7]
            await feed(publisher, packets(8, 4))
            assert numbers(await peer.packets(4)) == [8, 9, 10, 11]
            status: Any = publisher.status()
            assert [(each["kind"], each["lag_packets"]) for each in status["clients"]] == [("ISI", 0)]
            await peer.aclose()
            await until(lambda: not publisher.status()["client_count"])
            await feed(publisher, packets(12, 8))
            await peer.reconnect()
            await feed(publisher, packets(20, 4))
            assert sorted(numbers(await peer.packets(12))) == list(range(12, 24))
            assert publisher.status()["sent"] == 20


async def test_who_wants_the_newest_after_an_interruption_gets_it(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(3)])
        async with client(publisher) as peer:
            await peer.request_data(Z, OLDEST, KEEPUP, policy=MIN_DELAY)
            assert numbers(await peer.packets(3)) == [0, 1, 2]
            await feed(publisher, [packet(number, STREAMS[0]) for number in range(3, 6)])
            await peer.packets(3)
            await peer.aclose()
            await feed(publisher, [packet(number, STREAMS[0]) for number in range(6, 9)])
            await peer.reconnect()
            assert numbers(await peer.packets(1)) == [8]


async def test_a_begin_after_all_that_is_held_is_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, [packet(0, STREAMS[0])])
        async with client(publisher) as peer:
            await peer.request_data(Z, START_S + 3.0, KEEPUP)
            await feed(publisher, [packet(number, STREAMS[0]) for number in range(1, 5)])
            assert numbers(await peer.packets(2)) == [3, 4]


async def test_what_an_earlier_run_has_left_is_read_from_the_disk(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, packets(0, 400))
    async with serving(tmp_path / "ring", **ISI) as publisher, client(publisher) as peer:
        await peer.request_data("aaa.hhn.00+ccc.*.*", START_S + 100.0, KEEPUP)
        expected = [number for number in range(100, 400) if number % 4 in (1, 3)]
        assert numbers(await peer.packets(len(expected))) == expected
        await feed(publisher, packets(400, 4))
        assert numbers(await peer.packets(2)) == [401, 403]


async def test_reports_say_what_is_held(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        served: Any = publisher.service._serving
        await feed(publisher, [packet(number, STREAMS[0]) for number in (0, 1, 2, 5, 6)])
        newest = await publisher.service.ring.reader.newest()
        assert newest is not None
        served.clock = lambda: newest.time_ns + 3 * NS_PER_S
        async with client(publisher) as peer:
            entries = [Soh.unpack(each) for each in await peer.request_report(Kind.REQ_SOH)]
            assert await peer.alert() == Cause.COMPLETE
            await peer.end()
        [soh] = entries
        assert (str(soh.name), soh.oldest, soh.youngest) == (Z, float(START_S), START_S + 6.99)
        assert (soh.segments, soh.records, soh.idle_s) == (2, 5, 3.0)
        async with client(publisher) as peer:
            [cnf] = [Cnf.unpack(each) for each in await peer.request_report(Kind.REQ_CNF)]
        assert (str(cnf.name), cnf.rate) == (Z, Rate(100, 1))
        assert cnf.coords == pytest.approx([-12.3456] * 4)
        async with client(publisher) as peer:
            lines = [unpack_wfdisc(each) for each in await peer.request_report(Kind.REQ_WFDISC)]
        shown = ("sta", "chan", "time", "endtime", "nsamp", "smprate", "wfid", "jdate")
        assert [[line[key] for key in shown] for line in lines] == [
            ["aaa", "hhz00", START_S, START_S + 2.99, 300, 100, 1, 2026325],
            ["aaa", "hhz00", START_S + 5, START_S + 6.99, 200, 100, 2, 2026325],
        ]


async def test_a_report_of_a_stream_that_is_overtaken_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_ranges(*_: object) -> list[tuple[int, int]]:
        return []

    monkeypatch.setattr(RingReader, "ranges", no_ranges)
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, [packet(0, STREAMS[0])])
        async with client(publisher) as peer:
            (payload,) = await peer.request_report(Kind.REQ_SOH)
        assert Soh.unpack(payload).records == 0


async def test_reports_of_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        for kind in (Kind.REQ_SOH, Kind.REQ_CNF, Kind.REQ_WFDISC):
            async with client(publisher) as peer:
                assert await peer.request_report(kind) == []
                assert await peer.alert() == Cause.COMPLETE


async def test_a_client_that_asks_for_nothing_that_there_is_is_sent_away_for_good(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, packets(0, 4))
        for specs in ("bbb.hhn.00", "aa*.*.*", "*.hh*.*"):
            async with client(publisher) as peer:
                answer = await peer.request_data(specs, OLDEST, KEEPUP)
                assert answer == Acknowledgement(Request(compress=IDA))
                assert await peer.alert() == Cause.COMPLETE
                await peer.end()
        async with client(publisher) as peer:
            await peer.request(Request())  # as the C client asks after a request that matched nothing
            assert await peer.alert() == Cause.COMPLETE


@pytest.mark.parametrize(
    ("kind", "payload", "cause"),
    [
        (Kind.REQ_SEQNO, bytes(31), Cause.UNSUPPORTED),
        (Kind.REQ_REPORT, struct.pack(">H", 4), Cause.UNSUPPORTED),
        (4711, b"", Cause.UNSUPPORTED),
        (Kind.REQ_TWIND, bytes(27), Cause.PROTOCOL),
    ],
)
async def test_who_asks_for_something_else_is_told_why_and_may_go_on_writing(
    tmp_path: Path, kind: int, payload: bytes, cause: Cause
) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher, client(publisher) as peer:
        await peer.send(Kind.NOP)
        await peer.send(kind, payload)
        assert await peer.alert() == cause
        await peer.end()
        for _ in range(3):  # the server has closed its side only
            await peer.send(Kind.NOP)
        status: Any = publisher.status()
        assert (status["client_count"], sum(status["turned_away"].values())) == (1, 1)
        await peer.aclose()
        await until(lambda: not publisher.status()["client_count"])


async def test_a_client_that_takes_its_request_back_is_closed_without_a_word(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher, client(publisher) as peer:
        await peer.send(Kind.ALERT, word(Cause.DISCONNECT))
        await peer.end()
        await until(lambda: not publisher.status()["client_count"])
        assert publisher.status()["turned_away"] == {}


async def test_a_format_that_is_not_served_is_refused_without_an_acknowledgement(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher, client(publisher) as peer:
        answer = await peer.request_data("*.*.*", NEWEST, KEEPUP, format=NATIVE)
        assert answer.alert == Cause.UNSUPPORTED


async def test_bytes_that_are_no_frames_end_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        async with client(publisher) as peer:
            await peer.send_raw(b"GET / HTTP/1.1\r\n\r\n")
            assert await peer.alert() == Cause.IO_ERROR
            await peer.end()
        async with client(publisher) as peer:
            await peer.send_raw(struct.pack(">4s3I", b"IACP", 1, Kind.REQ_TWIND, 32_769))
            assert await peer.alert() == Cause.IO_ERROR


async def test_a_client_that_leaves_its_side_open_is_cut_after_a_while(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI, change={"slow_s": 0.05}) as publisher, client(publisher) as peer:
        await peer.request_data("*.*.*", OLDEST, NEWEST)
        assert await peer.alert() == Cause.COMPLETE
        await until(lambda: not publisher.status()["client_count"])


async def test_a_client_that_is_gone_when_it_has_all_disturbs_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher, client(publisher) as other:
        await feed(publisher, packets(0, 4))
        await other.request_data("*.*.*", OLDEST, KEEPUP)
        with socket.create_connection(("127.0.0.1", publisher.service.ports["isi"])) as gone:
            await until(lambda: len(peers_of(publisher)) == 2)
            (peer,) = (each for each in peers_of(publisher) if each.port == gone.getsockname()[1])
        peer.send([b"answered by a reset, before the loop turns"])
        peer.finish()
        await until(lambda: len(peers_of(publisher)) == 1)
        await feed(publisher, packets(4, 4))
        assert numbers(await other.packets(8)) == list(range(8))


async def test_a_request_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI, change={"command_s": 0.05}) as publisher, client(publisher) as peer:
        assert await peer.alert() == Cause.NONE  # it has only shaken hands
        await peer.end()


async def test_who_asks_for_too_much_is_ended_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_MAX_WINDOWS", 3)
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, packets(0, 4))
        for specs in ("+".join(["*.*.*"] * 501), "+".join([Z] * 4)):
            async with client(publisher) as peer:
                assert (await peer.request_data(specs, OLDEST, NEWEST)).alert == Cause.REQUEST_DENIED
    logged = [each.message for each in caplog.records if "is cut" in each.message]
    assert [each.rpartition(": ")[2] for each in logged] == ["more than 500 patterns of streams", "more than 3 windows"]


async def test_a_silent_server_shows_that_it_is_there(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", **ISI) as publisher:
        await feed(publisher, [packet(0, STREAMS[0])])
        async with client(publisher, timeout_ms=1) as peer:
            await peer.request_data(Z, NEWEST, KEEPUP)
            assert numbers(await peer.packets(1)) == [0]
            await peer.until_nops(2)
            gaps_s = np.diff(peer.nops)
            assert gaps_s.max() < peer.server[3] / 1000  # TO, which the client takes from the server


def test_streams_that_isi_cannot_name_are_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    codes = [("XX", "AAA", "00", "HHZ"), ("YY", "AAA", "00", "HHZ"), ("XX", "LONGNAME", "", "HHZ")]
    names = [name(each) for each in codes]
    book = IsiNames(logging.getLogger("rawdaq.ring"))
    given = [*reversed(names), names[0].replace("MSEED", "MSEED3"), "FDSN:XX_AAA_00_H_H_Z/JSON"]
    found = book.find(given)
    assert book.find(given) == found
    assert {str(key): list(value) for key, value in found.items()} == {Z: [names[0], f"{names[0]}3"]}
    assert len(caplog.records) == 2
    assert "its codes are longer" in caplog.text
    assert "ISI has no networks" in caplog.text
    assert isi_name("FDSN:XX_AAA_00_BAND_H_Z/MSEED3") is None


def test_what_isi_begins_with_is_recognised() -> None:
    assert recognise(b"IAC", list(Spoken)) is None
    assert recognise(b"IACP", list(Spoken)) is Spoken.ISI
    assert recognise(b"INFO ID\r", list(Spoken)) is Spoken.SEEDLINK
    assert recognise(b"I", [Spoken.ISI]) is None
    assert recognise(b"HELLO\r", [Spoken.ISI]) is Spoken.ISI  # which says what is wrong


async def test_a_port_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", seedlink=None, datalink=None, **ISI) as publisher:
        await feed(publisher, [packet(0, STREAMS[0])])
        async with client(publisher) as peer:
            await peer.request_data(Z, OLDEST, NEWEST)
            assert numbers((await peer.until_alert())[0]) == [0]


def test_clients_that_cannot_encrypt_are_not_promised_what_is_refused() -> None:
    tls = TlsSettings(certificate=Path("a"), key=Path("a"), required=True)
    options = {"format": 2, "length": 512, "encoding": "auto", "organization": "x", "seedlink": None, "datalink": None}
    reason = RingPublisher.check_options(options | {"isi": ListenSettings(port=1), "tls": tls})
    assert reason is not None
    assert "cannot encrypt" in reason
    assert RingPublisher.check_options(options | {"isi": ListenSettings(port=1), "tls": None}) is None
    assert "serves nothing" in str(RingPublisher.check_options(options | {"isi": None, "tls": None}))
    assert RingPublisher.exclusive(options | {"isi": ListenSettings(port=39136)}) == ["tcp://127.0.0.1:39136"]
