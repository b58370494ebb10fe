"""DataLinkPublisher against a strict server: every record once, whatever happens to connection and server."""

import asyncio
import io
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import obspy
import pytest

from rawdaq.miniseed.format import Encoding, RecordFormat, RecordRun
from rawdaq.packet import Packet
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers.datalink import DataLinkPublisher, publisher
from rawdaq.stream_id import StreamId
from tests.datalink_links import CERTIFICATE, TRANSPORTS, serving
from tests.datalink_server import Cut, Server
from tests.helpers import DEADLINE_S, until
from tests.makers import STREAM
from tests.record_makers import NOISE, as_runs, make, packets
from tests.servers import Idle
from tests.servers import serving as running

OTHER = StreamId("XX", "DEMO", "10", "HHE")


def url_of(url: str) -> str:
    return url.replace("tcp://", "datalink://").replace("tls://", "datalinks://")


def runs_of(count: int, stream: StreamId = STREAM, record_format: RecordFormat | None = None) -> list[RecordRun]:
    """Return *count* records or a few more, each in a run of its own."""
    samples: npt.NDArray[np.int32] = np.random.default_rng(3).integers(-(2**28), 2**28, count * 110, dtype=np.int32)
    return as_runs(make(packets(samples, stream=stream), record_format))


async def deliver_all(one: DataLinkPublisher, batch: Sequence[RecordRun]) -> int:
    """Deliver as the framework does, without its pauses; return how often it had to begin again."""
    again = 0
    rest = list(batch)
    while rest:
        try:
            await one.deliver(rest)
            return again
        except PublisherUnavailable as error:
            again += 1
            assert again < 1000
            del rest[: error.delivered]
    return again


def data_of(runs: Sequence[RecordRun]) -> list[bytes]:
    return [run.data for run in runs]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("version", "kind"), [(2, "MSEED"), (3, "MSEED3")])
async def test_records_arrive_by_every_transport(transport: str, version: int, kind: str) -> None:
    runs = runs_of(30, record_format=RecordFormat(version))
    with serving(transport) as (server, url):
        one = DataLinkPublisher(url_of(url), format=version, ca_file=CERTIFICATE)  # type: ignore[arg-type]
        assert one.record_format == RecordFormat(version, 512, Encoding.AUTO, 1.0)
        await one.open()
        await one.deliver(runs)
        await one.deliver([])
        status = one.status()
        assert (status["connected"], status["acknowledged"], status["connections"]) == (True, len(runs), 1)
        await one.aclose()
        await one.aclose()
        assert one.status()["connected"] is False
        assert [packet.data for packet in server.packets] == data_of(runs)
        assert {packet.sid for packet in server.packets} == {f"FDSN:XX_DEMO_00_H_H_Z/{kind}".encode()}
        first = server.packets[0]
        assert first.start_us == runs[0].starts_ns[0] // 1000
        assert first.end_us == next(iter(runs[0])).end_ns // 1000
        assert server.errors == []


async def test_an_old_server_gets_old_names() -> None:
    with serving(protocol="1.0") as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs_of(1))
        await one.aclose()
        assert {packet.sid for packet in server.packets} == {b"XX_DEMO_00_HHZ/MSEED"}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("transport", ["tcp", "ws"])
async def test_every_record_is_in_the_ring_once_whatever_is_cut(seed: int, transport: str) -> None:
    """50 cuts at random bytes, of what comes and what goes, with and without a reset; orderly restarts and crashes."""
    chance = random.Random(seed)
    runs = (
        runs_of(400)
        if seed % 2
        else [run for pair in zip(runs_of(200), runs_of(200, OTHER), strict=True) for run in pair]
    )
    with serving(transport, capacity=100_000) as (server, url):
        one = DataLinkPublisher(url_of(url), timeout_s=5.0)
        delivered = 0
        while delivered < len(runs):
            size = chance.choice([1, 4, 16, 64])
            for _ in range(chance.randrange(4)):
                cut = Cut(with_reset=chance.random() < 0.5)
                limit = chance.randrange(1, 30_000)
                cut.received, cut.sent = (limit, None) if chance.random() < 0.7 else (None, limit % 4000)
                server.next_cuts.append(cut)
            await deliver_all(one, runs[delivered : delivered + size])
            delivered += size
            match chance.randrange(6):
                case 0:
                    server.stop()
                    server.start()
                case 1:
                    server.stop()
                    server.ring.crash(chance.randrange(min(5, len(server.ring.packets))))
                    server.start()
                case 2:
                    server.cut_all(with_reset=True)
                case _:
                    pass
        await deliver_all(one, runs_of(1, StreamId("XX", "END", "", "HHZ")))  # a crash after the last record is seen
        await one.aclose()
        assert sorted(p.data for p in server.packets if b"_END_" not in p.sid) == sorted(data_of(runs))
        for name in {packet.sid for packet in server.packets}:
            starts = [packet.start_us for packet in server.packets if packet.sid == name]
            assert starts == sorted(starts)


async def test_status_answers_while_the_server_has_not_identified_itself() -> None:
    heard = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        heard.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        one = DataLinkPublisher(f"datalink://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        delivering = asyncio.create_task(one.deliver(runs_of(1)))
        async with asyncio.timeout(DEADLINE_S):
            await heard.wait()
        status = one.status()
        assert (status["connected"], status["server"], status["connections"]) == (False, None, 0)
        delivering.cancel()
        await asyncio.wait([delivering])
        await one.aclose()


async def test_a_component_delivers_sample_for_sample_through_restarts(tmp_path: Path) -> None:
    """The whole way of a component, with its queue, its record maker and its pauses."""
    samples = np.tile(NOISE, 4)
    with serving(capacity=100_000) as (server, url):
        one = DataLinkPublisher(url_of(url), flush_after_s=0.05)
        receiver = Idle([one])
        async with running(receiver):
            for index, some in enumerate(packets(samples)):
                await receiver.publish([some])
                if index in (40, 90, 150):
                    await until(lambda: one.status()["acknowledged"])
                    server.cut_all(with_reset=index == 90)
                if index == 120:
                    server.stop()
                    server.start()
        stream: Any = obspy.read(io.BytesIO(b"".join(packet.data for packet in server.packets)), format="MSEED")
        stream.sort(["starttime"])
        assert np.concatenate([trace.data for trace in stream]).tolist() == samples.tolist()


async def test_a_server_that_crashed_gets_what_it_lost_and_the_id_that_was_given_twice_does_not_matter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = runs_of(20)
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs[:10])
        server.stop()
        server.ring.crash(lost=3)
        server.ring.put(b"b/OTHER", 0, 0, b"somebody else's, under an id that was ours")
        server.start()
        with caplog.at_level(logging.INFO):
            await deliver_all(one, runs[10:])
        assert one.status()["written_again"] == 3
        assert "the server lost the last 3 records that it had acknowledged: they are written again" in caplog.text
        server.stop()
        server.ring.crash(lost=len(server.ring.packets))  # all of it
        server.start()
        await deliver_all(one, runs_of(1, OTHER))
        await one.aclose()
        ours = [packet.data for packet in server.packets if packet.sid.startswith(b"FDSN:XX_DEMO_00")]
        assert ours == data_of(runs)


async def test_what_others_have_overwritten_is_not_written_again() -> None:
    with serving(capacity=50) as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs_of(10))
        for _ in range(100):
            server.put("b/OTHER", 0, 0, b"x")
        server.cut_all()
        await deliver_all(one, runs_of(1, OTHER))
        await one.aclose()
        assert one.status()["written_again"] == 0
        assert {packet.sid for packet in server.packets} == {b"b/OTHER", b"FDSN:XX_DEMO_10_H_H_E/MSEED"}


async def test_somebody_who_writes_our_stream_too_does_not_confuse_us() -> None:
    runs = runs_of(10)
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs[:5])
        for _ in range(3):
            server.put("FDSN:XX_DEMO_00_H_H_Z/MSEED", 0, 0, b"foreign")
        server.cut_all()
        await deliver_all(one, runs[5:])
        await one.aclose()
        assert [packet.data for packet in server.packets if packet.data != b"foreign"] == data_of(runs)


async def test_many_streams_are_asked_for_without_an_expression() -> None:
    runs = [run for number in range(100) for run in runs_of(1, StreamId("XX", f"STA{number}", "00", "HHZ"))]
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs[:30])
        await one.deliver(runs[30:100])
        server.cut_all()
        await deliver_all(one, runs[100:])
        await one.aclose()
        assert [packet.data for packet in server.packets] == data_of(runs)
        assert b"INFO STREAMS" in [command for session in server.sessions for command in session.commands]


async def test_only_the_last_records_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.publishers.datalink.sent._KEPT_BYTES", 512 * 5)
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs_of(20))
        assert len(one._sent._kept) == 5
        assert one._sent._kept_bytes == 512 * 5
        server.stop()
        server.ring.crash(lost=10)
        server.start()
        await deliver_all(one, runs_of(1, OTHER))
        await one.aclose()
        assert one.status()["written_again"] == 5


@pytest.mark.parametrize(
    ("rules", "options", "text"),
    [
        ({"may_write": False}, {}, r"the server \(DataLink v1.1 \(RingServer/4.5.3\)\) gives no permission to write"),
        ({"packet_size": 256}, {}, r"records \(option `length`\) has 512 bytes, the server takes 256"),
        ({"writable": b"^YY"}, {}, "permission denied for WRITE of stream ID: FDSN:XX_DEMO_00_H_H_Z/MSEED"),
    ],
)
async def test_what_a_server_refuses_is_told_and_tried_again_after_a_minute(
    rules: dict[str, Any], options: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(**rules) as (server, url):
        one = DataLinkPublisher(url_of(url), **options)
        with pytest.raises(PublisherUnavailable, match=text) as raised:
            await one.deliver(runs_of(3))
        assert raised.value.delivered == 0
        connections = server.connections
        with pytest.raises(PublisherUnavailable, match=text):
            await one.deliver(runs_of(3))
        assert server.connections == connections
        server.rules.may_write, server.rules.packet_size, server.rules.writable = True, 512, b""
        one.retry()
        await one.deliver(runs_of(3))
        await one.aclose()
        assert publisher._REFUSED_RETRY_S == 60.0


async def test_a_server_that_is_away_is_told_with_a_remedy() -> None:
    server = Server()
    server.start()
    server.stop()
    one = DataLinkPublisher(url_of(server.url))
    with pytest.raises(PublisherUnavailable, match="nothing listens there"):
        await one.deliver(runs_of(1))
    assert "nothing listens there" in str(one.status()["last_failure"])
    await one.aclose()


async def test_a_name_for_which_the_server_has_no_room_is_refused_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    long = StreamId("XX", "STATION1", "LOCATION", "B" * 20 + "_SOURCE_" + "S" * 20)
    runs = runs_of(3, record_format=RecordFormat(3))
    refused = [RecordRun(long, run.starts_ns, run.sample_counts, run.rate_hz, run.data) for run in runs]
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url), format=3)
        await one.deliver([refused[0], *runs, *refused])
        await one.aclose()
        assert len(server.packets) == len(runs)
        assert one.status()["refused"] == 1 + len(refused)
        assert one.status()["refused_by_stream"] == {str(long): 1 + len(refused)}
        assert caplog.text.count("does not go to the server, counted as refused") == 1


async def test_what_was_refused_in_front_counts_as_delivered_when_the_rest_is_not() -> None:
    long = StreamId("XX", "STATION1", "LOCATION", "B" * 20 + "_SOURCE_" + "S" * 20)
    runs = runs_of(3)
    refused = RecordRun(long, runs[0].starts_ns, runs[0].sample_counts, 100.0, runs[0].data)
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs_of(1, OTHER))
        assert one._link is not None
        one._link.timeout_s = one._link.connection._timeout_s = 0.3
        server.is_deaf = True
        with pytest.raises(PublisherUnavailable, match=r"no acknowledgement within 0.3 s") as raised:
            await one.deliver([refused, *runs])
        assert raised.value.delivered == 1
        await one.aclose()


async def test_a_silent_writer_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.datalink.session.KEEP_ALIVE_S", 0.05)
    with serving(timeout_s=1.5) as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs_of(50))
        await until(lambda: sum(command.startswith(b"ID") for command in server.sessions[0].commands) > 30)
        await one.deliver(runs_of(1, OTHER))
        await one.aclose()
        assert (server.connections, server.cut_late) == (1, 0)


async def test_a_login_is_read_from_files(tmp_path: Path) -> None:
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text("secret\n")
    token.write_text("a.b.c\n")
    with serving(users={b"me": b"secret"}, tokens={b"a.b.c"}, may_write=False) as (server, url):
        logins: list[dict[str, Any]] = [{"user": "me", "password_file": password}, {"token_file": token}]
        for options in logins:
            one = DataLinkPublisher(url_of(url), **options)
            await one.deliver(runs_of(1))
            await one.aclose()
        assert server.errors == []
        one = DataLinkPublisher(url_of(url), token_file=tmp_path / "nothing")
        with pytest.raises(PublisherUnavailable, match=r"cannot read the secret in .*nothing: No such file"):
            await one.deliver(runs_of(1))
        password.write_bytes(b"\xff")
        one = DataLinkPublisher(url_of(url), user="me", password_file=password)
        with pytest.raises(PublisherUnavailable, match="it is not UTF-8"):
            await one.deliver(runs_of(1))


def options(**changes: object) -> dict[str, Any]:
    given = {"url": "datalink://localhost", "format": 2, "length": 512, "encoding": Encoding.AUTO}
    return {**given, "user": "", "password_file": None, "token_file": None, **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"length": 500}, "not a power of two"),
        ({"user": "me"}, "user and password_file belong together"),
        ({"user": "me", "password_file": Path("x"), "token_file": Path("x")}, "a token_file as well as a user"),
        ({"url": "datalink://192.0.2.7", "token_file": Path("x")}, "datalink://192.0.2.7:16000 is not encrypted"),
        ({"url": "datalinks://192.0.2.7", "token_file": Path("x")}, None),
    ],
)
def test_options_that_do_not_go_together_are_told(changes: dict[str, object], reason: str | None) -> None:
    told = DataLinkPublisher.check_options(options(**changes))
    assert told is None if reason is None else reason in str(told)
    assert DataLinkPublisher.check_streams([STREAM], options(**changes)) is None


def test_streams_that_cannot_be_carried_are_told() -> None:
    long = StreamId("XX", "STATION1", "LOCATION", "B" * 10 + "_SOURCE_" + "S" * 18)
    assert "no room for station" in str(DataLinkPublisher.check_streams([STREAM, long], options()))
    assert "the server keeps 63" in str(DataLinkPublisher.check_streams([long], options(format=3)))
    assert DataLinkPublisher.check_streams([], options()) is None
    assert DataLinkPublisher.exclusive_by_stream(options()) == "DataLink server datalink://localhost"


async def test_packets_are_no_records_and_are_left_out() -> None:
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        some: list[Packet | bytes] = [*packets(NOISE[:100]), b"bytes"]
        await one.deliver(some)
        await one.aclose()
        assert server.packets == []


async def test_a_cancelled_delivery_leaves_nothing_in_doubt() -> None:
    runs = runs_of(40)
    with serving() as (server, url):
        one = DataLinkPublisher(url_of(url))
        await one.deliver(runs[:10])
        with server.lock:
            delivering = asyncio.create_task(one.deliver(runs[10:]))
            for _ in range(5):
                await asyncio.sleep(0)
            delivering.cancel()
            await asyncio.wait([delivering])
        await deliver_all(one, runs[10:])
        await one.aclose()
        assert [packet.data for packet in server.packets] == data_of(runs)
