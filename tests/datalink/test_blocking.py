"""The same without coroutines."""

import threading
from itertools import islice

import pytest

from rawdaq.datalink import ConnectionLost, DataLink, InfoType, Write
from tests.datalink_links import SID, fill, serving
from tests.helpers import wait_for
from tests.makers import packet
from tests.record_makers import make


def test_every_method_does_what_its_coroutine_does() -> None:
    with serving(users={b"me": b"x"}, tokens={b"t"}) as (server, url):
        with DataLink(url) as link:
            assert link.identity.can_write
            assert link.identify("a:b:1:c").packet_size == 512
            assert link.auth_userpass("me", "x").can_write
            assert link.auth_jwt("t").can_write
            assert link.write(SID, 0, 0, b"0") == 1
            assert link.write_json("a/JSON", 0, 0, 1) == 2
            (record,) = make([packet()])
            assert link.write_record(record.data) == 3
            assert link.write_many([Write(SID, 0, 0, b"3")]) == [4]
            assert link.write(SID, 0, 0, b"4", acknowledge=False) is None
            link.flush()
            assert link.info(InfoType.STREAMS).total_streams == 3
            assert (link.match("MSEED"), link.reject("DEMO")) == (2, 1)
            assert [link.position_set(2), link.position_earliest(), link.position_latest()] == [2, 1, 5]
            assert link.position_after(-1) == 1
            assert [link.read(2).packet_id, link.read_earliest().packet_id, link.read_latest().packet_id] == [2, 1, 5]
            assert [each.packet_id for each in islice(link.stream("earliest"), 3)] == [1, 4, 5]
            assert list(link.stream(timeout_s=0.1)) == []
            link.reconnect()
            fill(server, 1)
            for each in link.stream():
                assert each.packet_id == 6
                break
        link.close()
        with pytest.raises(ConnectionLost, match="the link is closed"):
            link.flush()


def test_a_stream_that_is_left_goes_on_where_it_was_left() -> None:
    with serving() as (server, url):
        fill(server, 500)
        with DataLink(url) as link:
            got: list[int] = []
            for start in ("earliest", *[None] * 99):
                for each in link.stream(start):
                    got.append(each.packet_id)
                    if len(got) % 5 == 0:
                        break
            assert got == list(range(1, 501))


def test_a_stream_may_outlive_its_connection() -> None:
    with serving() as (server, url):
        fill(server, 2)
        with DataLink(url) as link:
            packets = link.stream("earliest")
            assert next(packets).packet_id == 1
            server.cut_all()
            wait_for(lambda: not link._link.is_connected)
            packets.close()  # type: ignore[attr-defined]
            packets = link.stream()
            assert next(packets).packet_id == 2  # it came before the end
            with pytest.raises(ConnectionLost):
                next(packets)


def test_a_writer_that_pauses_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.datalink.session.KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr("rawdaq.datalink.blocking._TICK_S", 0.02)
    with serving(timeout_s=1.5) as (server, url), DataLink(url) as link:
        link.write_many(Write(SID, 0, 0, b"x" * 512) for _ in range(100))
        wait_for(lambda: sum(each.startswith(b"ID") for each in server.sessions[0].commands) > 30)
        assert link.write(SID, 0, 0, b"x") == 101
        assert (server.cut_late, server.connections) == (0, 1)


def test_threads_take_turns() -> None:
    with serving(capacity=2000) as (server, url), DataLink(url) as link:
        threads = [threading.Thread(target=lambda: [link.write(SID, 0, 0, b"x") for _ in range(50)]) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert server.ring.written == 200


def test_a_server_that_is_not_there_is_told() -> None:
    with serving() as (_, url):
        pass
    with pytest.raises(ConnectionLost, match="nothing listens there"), DataLink(url):
        pass


async def test_it_is_not_for_programs_with_an_event_loop() -> None:
    with serving() as (_, url), pytest.raises(RuntimeError, match="async with"), DataLink(url):
        pass


def test_a_link_that_was_never_entered_can_be_left() -> None:
    DataLink("tcp://localhost").__exit__(None, None, None)


def test_a_stream_may_be_left_after_each_packet() -> None:
    with serving(capacity=500) as (server, url):
        fill(server, 500)
        with DataLink(url) as link:
            got = [next(iter(link.stream("earliest"))).packet_id]
            got += [next(iter(link.stream())).packet_id for _ in range(499)]
        assert got == list(range(1, 501))
