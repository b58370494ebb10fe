"""`DataLink` against a strict server: every method, every transport, and what ends a connection."""

import asyncio
import pickle
import socket
import threading
from pathlib import Path

import pytest

from rawdaq.datalink import (
    ConnectionLost,
    CredentialExposed,
    DataLink,
    DataLinkError,
    NoAnswer,
    ServerRefused,
    WriteInterrupted,
    session,
)
from rawdaq.errors import InvalidValue, LocalProtocolError, RemoteProtocolError
from tests.datalink_links import CERTIFICATE, SID, TRANSPORTS, fill, serving, streamed
from tests.datalink_server import Cut
from tests.helpers import closed_port, until


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_written_is_read_by_every_transport(transport: str) -> None:
    with serving(transport) as (server, url):
        async with DataLink(url, client_id="me:myself:1:pc", ca_file=CERTIFICATE) as link:
            assert link.is_connected
            assert link.identity.packet_size == 512
            assert [await link.write(SID, 0, 999_000, b"x" * size) for size in (1, 300, 512)] == [1, 2, 3]
            packet = await link.read(2)
            assert (packet.stream_id, packet.packet_id, packet.start_ns, packet.end_ns) == (SID, 2, 0, 999_000)
            assert packet.data == b"x" * 300
            assert [each.packet_id for each in await streamed(link, 3, "earliest")] == [1, 2, 3]
        assert not link.is_connected
        assert server.sessions[0].client_id == "me:myself:1:pc"
        assert server.errors == []
        await until(lambda: server.sessions[0].commands[-1] == b"BYE")


async def test_info_is_typed() -> None:
    with serving() as (server, url):
        fill(server, 3)
        fill(server, 2, "a/JSON")
        async with DataLink(url) as link:
            status = await link.info()
            assert (status.status.latest_packet_id, status.status.packet_size) == (5, 632)
            streams = await link.info("STREAMS")
            assert [each.name for each in streams.streams] == [SID, "a/JSON"]
            assert streams.streams[0].latest_packet_data_end_time_ns == 2_999_000
            chosen = await link.info("STREAMS", "JSON$")
            assert [each.latest_packet_id for each in chosen.streams] == [5]
            connections = await link.info("CONNECTIONS")
            assert connections.connections[0].client_id == link.client_id
            with pytest.raises(ValueError, match="NONSENSE"):
                await link.info("NONSENSE")


async def test_positions_name_the_packet_that_counts_as_read() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            assert await link.position_earliest() == 0  # empty
            with pytest.raises(ServerRefused, match="the server refused PositionAfter: Packet not found"):
                await link.position_after(0)
            fill(server, 10)
            packets = server.packets
            assert await link.position_set(3, packets[2].time_us * 1000) == 3
            assert [each.packet_id for each in await streamed(link, 7)] == list(range(4, 11))
            assert await link.position_earliest() == 1
            assert [each.packet_id for each in await streamed(link, 9)] == list(range(2, 11))
            assert await link.position_after(4_500_000) == 5
            assert (await link.read_earliest()).packet_id == 1
            assert (await link.read_latest()).packet_id == 10
            assert await link.position_latest() == 10
            for command in (link.position_set(99), link.position_set(3, 10**18), link.read(99)):
                with pytest.raises(ServerRefused, match="not found"):
                    await command
            assert await link.position_set(8) == 8  # still in step
            assert server.sessions[0].commands.count(b"STREAM") == 4


async def test_expressions_select() -> None:
    with serving() as (server, url):
        fill(server, 2)
        fill(server, 3, "XX_A_00_LOG/JSON")
        async with DataLink(url) as link:
            assert await link.match("^XX") == 1
            assert [each.packet_id for each in await streamed(link, 3, "earliest")] == [3, 4, 5]
            assert await link.match(None) == 2
            assert await link.reject("/JSON$") == 1
            assert [each.packet_id for each in await streamed(link, 2, "earliest")] == [1, 2]
            assert await link.reject("") == 2
            with pytest.raises(ServerRefused, match="Error with match expression"):
                await link.match("(((")
            assert len(await streamed(link, 5, "earliest")) == 5


@pytest.mark.parametrize("transport", ["tcp", "ws"])
async def test_a_stream_can_be_left_at_any_time_and_goes_on_where_it_was_left(transport: str) -> None:
    with serving(transport) as (server, url):
        fill(server, 900)
        async with DataLink(url) as link:
            got: list[int] = []
            start: str | None = "earliest"
            while len(got) < 900:
                async for packet in link.stream(start):
                    got.append(int(packet.data))
                    if len(got) % 7 == 0 or len(got) == 900:
                        break
                start = None
                assert (await link.info()).status.latest_packet_id == 900
            assert got == list(range(900))
            assert await link.write(SID, 0, 0, b"900") == 901
            async for packet in link.stream():
                assert packet.data == b"900"
                break
        assert server.errors == []


async def test_other_commands_in_the_middle_of_a_stream_do_not_disturb_it() -> None:
    with serving() as (server, url):
        fill(server, 500)
        async with DataLink(url) as link:
            got: list[int] = []
            async for packet in link.stream("earliest"):
                got.append(int(packet.data))
                if len(got) == 100:
                    assert await link.match(".") == 1  # ends streaming; what was on the way comes again
                if len(got) == 200:
                    await link.write(SID, 0, 0, b"500")
                    assert (await link.info("STREAMS")).total_streams == 1
                if len(got) == 501:
                    break
            assert got == list(range(501))


async def test_expressions_that_change_before_anything_was_taken_choose_from_what_came() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            await link.begin_stream()
            await link.identify()
            fill(server, 2)
            fill(server, 2, "a/JSON")
            await until(lambda: link.connection._streamed)
            await link.match("JSON")
            got = [each.packet_id for each in await streamed(link, 2)]
            assert got == [3, 4]


async def test_several_tasks_share_a_link() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:

            async def read(count: int) -> list[int]:
                got: list[int] = []
                async for packet in link.stream():
                    got.append(packet.packet_id)
                    if len(got) == count:
                        break
                return got

            await link.position_latest()
            reading = asyncio.create_task(read(300))
            await until(lambda: server.sessions[0].is_streaming)
            written = await asyncio.gather(*(link.write(SID, 0, 0, b"x") for _ in range(300)))
            assert sorted(each or 0 for each in written) == list(range(1, 301))
            assert await reading == list(range(1, 301))


async def test_authentication_changes_what_we_may_do() -> None:
    users, tokens = {b"me": b"secret"}, {b"a.b.c"}
    with serving(users=users, tokens=tokens, may_write=False) as (_, url):
        async with DataLink(url) as link:
            assert not link.identity.can_write
            with pytest.raises(LocalProtocolError, match="gives no permission to write"):
                await link.write(SID, 0, 0, b"x")
            assert (await link.auth_userpass("me", "secret")).can_write
            assert await link.write(SID, 0, 0, b"x") == 1
            with pytest.raises(ServerRefused, match="Authentication failed"):
                await link.auth_userpass("me", "wrong")
            assert (await link.auth_jwt("a.b.c")).can_write
            await link.reconnect()
            assert link.identity.can_write
        for options in ({"user": "me", "password": "secret"}, {"token": "a.b.c"}):
            async with DataLink(url, **options) as link:
                assert link.identity.can_write
        with pytest.raises(ServerRefused, match="AuthUserPass: Authentication failed"):
            await DataLink(url, user="me", password="wrong").open()


async def test_a_credential_never_leaves_the_machine_unencrypted() -> None:
    with pytest.raises(CredentialExposed, match=r"tcp://192.0.2.7:16000 is not encrypted"):
        DataLink("tcp://192.0.2.7", user="me", password="secret")
    link = DataLink("ws://192.0.2.7/datalink")
    with pytest.raises(CredentialExposed):
        await link.auth_jwt("a.b.c")
    assert DataLink("tls://192.0.2.7", token="a").address.port == 16500


async def test_streaming_that_needs_authentication_is_refused_with_the_servers_words() -> None:
    with serving(must_authenticate=True) as (_, url):
        async with DataLink(url) as link:
            with pytest.raises(ServerRefused, match="the server refused STREAM: Authentication required"):
                async for _packet in link.stream():
                    pass


async def test_a_new_connection_has_the_expressions_and_the_position_of_the_old_one() -> None:
    with serving() as (server, url):
        fill(server, 10)
        fill(server, 1, "a/JSON")
        async with DataLink(url) as link:
            await link.match("MSEED")
            async for packet in link.stream("earliest"):
                if packet.packet_id == 4:
                    break
            server.cut_all()
            await until(lambda: not link.is_connected)
            with pytest.raises(ConnectionLost, match=r"the other side closed the connection|reset"):
                await link.info()
            await link.reconnect()
            assert [each.packet_id for each in await streamed(link, 6)] == list(range(5, 11))


async def test_what_came_before_the_end_of_a_connection_is_still_given() -> None:
    with serving() as (server, url):
        fill(server, 50)
        async with DataLink(url) as link:
            await link.begin_stream("earliest")
            await until(lambda: server.sessions[0].position == 49)
            server.cut_all()
            await until(lambda: not link.is_connected)
            assert await link.wait_for_packet()
            assert await link.wait_for_packet()
            got = link.take_all()
            while link.connection._streamed:
                await link.wait_for_packet()
                got += link.take_all()
            assert [each.packet_id for each in got] == list(range(1, 51))
            with pytest.raises(DataLinkError):
                await link.wait_for_packet()


async def test_a_server_that_stops_in_the_middle_of_a_packet_is_an_error() -> None:
    with serving() as (server, url):
        fill(server, 50)
        server.next_cuts.append(Cut(sent=1000))
        async with DataLink(url) as link:
            with pytest.raises(RemoteProtocolError, match=r"the connection ended \d+ bytes into a packet"):
                async for _packet in link.stream("earliest"):
                    pass
            with pytest.raises(RemoteProtocolError):
                await link.identify()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"\xff" * 1_000_000, "this is not DataLink"),
        (b"SeedLink v3.1\r\n", "this is not DataLink: a packet begins with 'SeedLink v3"),
        (b"DL\x05HELLO", "unknown DataLink reply 'HELLO'"),
        (b"DL\xff" + b"q" * 255, "unknown DataLink reply 'qqq"),
        (b"DL\x06OK 1 0", "unexpected DataLink reply 'OK 1 0' while the answer to Identify"),
    ],
)
async def test_what_is_no_datalink_server_is_told(answer: bytes, text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer, args=(listening, answer))
        thread.start()
        with pytest.raises(RemoteProtocolError, match=text):
            await DataLink(f"tcp://127.0.0.1:{listening.getsockname()[1]}").open()
        thread.join()


def _answer(listening: socket.socket, data: bytes) -> None:
    sock, _ = listening.accept()
    with sock:
        try:
            sock.sendall(data)
            while sock.recv(1000):
                pass
        except OSError:
            pass


async def test_a_silent_server_is_given_up_after_the_time_limit() -> None:
    with serving() as (server, url):
        server.is_deaf = True
        with pytest.raises(NoAnswer, match=r"tcp://127.0.0.1:\d+: no answer to Identify within 0.2 s") as raised:
            await DataLink(url, timeout_s=0.2).open()
        assert isinstance(raised.value, TimeoutError)


async def test_a_stream_in_which_nothing_comes_is_asked_whether_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.datalink.reader._PROBE_S", 0.05)
    with serving() as (server, url):
        async with DataLink(url) as link:
            assert [each async for each in link.stream(timeout_s=0.2)] == []
            assert sum(each.startswith(b"ID") for each in server.sessions[0].commands) > 1
            server.is_deaf = True
            link.connection._timeout_s = 0.3
            with pytest.raises(NoAnswer):
                async for _packet in link.stream():
                    pass


async def test_where_nothing_listens_is_told_with_a_remedy(tmp_path: Path) -> None:
    with (
        closed_port() as port,
        pytest.raises(ConnectionLost, match=rf"tcp://127.0.0.1:{port}: nothing listens there"),
    ):
        await DataLink(f"tcp://127.0.0.1:{port}").open()
    with serving("tls") as (_, url):
        with pytest.raises(ConnectionLost, match="certificate verify failed"):
            await DataLink(url).open()
        with pytest.raises(DataLinkError):
            await DataLink(url.replace("tls", "tcp"), timeout_s=0.5).open()
    with serving("ws") as (_, url), pytest.raises(ConnectionLost, match="refused with 404"):
        await DataLink(f"{url}x").open()


async def test_without_a_connection_every_method_says_so() -> None:
    link = DataLink("tcp://localhost")
    for call in (link.identify(), link.info(), link.read(1), link.write("a", 0, 0, b"x"), link.begin_stream()):
        with pytest.raises(
            ConnectionLost, match=r"tcp://localhost:16000: not connected; enter the link with `async with`"
        ):
            await call
    with pytest.raises(ConnectionLost):
        _ = link.identity
    await link.aclose()
    with pytest.raises(InvalidValue):
        DataLink("http://localhost")


async def test_a_stream_begins_at_an_end_of_the_ring_or_nowhere() -> None:
    with serving() as (server, url):
        async with DataLink(url) as link:
            with pytest.raises(ValueError, match="start 'now' is neither"):
                await link.begin_stream("now")
            fill(server, 3)
            await link.begin_stream("latest")
            await link.identify()
            fill(server, 1, first=3)
            assert await link.wait_for_packet()
            assert [each.packet_id for each in link.take_all()] == [4]
            assert link.take_all() == []
            assert link.take() is None


async def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", _no_name)
    assert session.default_client_id().startswith("rawdaq:")


def _no_name() -> str:
    raise KeyError("getpwuid(): uid not found: 4711")


def test_errors_survive_pickling() -> None:
    for error in (
        ServerRefused("READ", ""),
        ConnectionLost("tcp://a:1", "gone"),
        NoAnswer("tcp://a:1", "answer", 1.0),
        CredentialExposed("tcp://a:1"),
        WriteInterrupted([1, 2], "gone"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


async def test_what_only_pcre_knows_is_left_to_the_server() -> None:
    with serving() as (server, url):
        fill(server, 2)
        async with DataLink(url) as link:
            link._filters = {}
            await link.match("^XX_NOTHING")
            link._filters = {type(next(iter(link._filters.values()))): type(next(iter(link._filters.values())))(r"a\K")}
            assert [each.packet_id for each in await streamed(link, 1, "earliest")] == [1]


async def test_a_long_silence_is_probed_also_with_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.datalink.reader._PROBE_S", 0.02)
    with serving() as (server, url):
        async with DataLink(url) as link:
            await link.begin_stream()
            assert not await link.wait_for_packet(0.05)
            assert sum(each.startswith(b"ID") for each in server.sessions[0].commands) > 2


async def test_a_reader_that_does_not_take_lets_the_server_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.datalink.connection._READ_AHEAD_BYTES", 10_000)
    with serving(packet_size=4096, capacity=600) as (server, url):
        for _ in range(600):
            server.put(SID, 0, 0, bytes(4096))
        async with DataLink(url) as link:
            await link.begin_stream("earliest")
            await until(lambda: link.connection._is_held)
            assert (await link.info()).total_connections is None  # its answer stands behind packets
            got = 0
            while got < 600:
                await link.wait_for_packet()
                got += len(link.take_all())
            assert got == 600
