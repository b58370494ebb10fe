"""The ISI client and server of the tests: against captured bytes, and against each other."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import DEADLINE_S, until
from tests.isi import capture
from tests.isi.client_peer import IsiAlert, IsiClientPeer
from tests.isi.entries import WFDISC, Cnf, Soh, unpack_packet, unpack_wfdisc
from tests.isi.exchange import COCO, TOFS, causes, exchange, filled, handshake
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import (
    INT16,
    KEEPUP,
    LITTLE,
    NEWEST,
    OLDEST,
    REAL32,
    UNDEFINED,
    Kind,
    Name,
    Rate,
    Request,
    Window,
    ida_decode,
    ida_encode,
    pieces,
    word,
)

IDA_CASES = [
    (capture.SAMPLES, "c8 01 02 05 7e 81 01 95 11 90 aa 0c 00"),
    ([63], "7e"),
    ([64], "80 01"),
    ([8191], "fe 7f"),
    ([8192], "80 80 01"),
    ([1048575], "fe ff 7f"),
    ([2147483647], "fe ff ff ff 0f"),
    ([-1], "03"),
    ([-2147483647, 2147483647], "ff ff ff ff 0f 05"),
]
ANSWERS = {
    "soh": capture.STREAM_SOH
    + capture.NOP
    + b"".join(capture.frame(n, Kind.STREAM_SOH, capture.STREAM_SOH[16:-8].replace(b"bhz", b"bhn")) for n in (3, 4))
    + capture.frame(5, Kind.STREAM_SOH, capture.EMPTY_SOH)
    + capture.SOH_NULL
    + capture.SOH_ALERT,
    "cnf": capture.STREAM_CNF + capture.frame(2, Kind.NULL) + capture.frame(3, Kind.ALERT, word(2)),
    "none": capture.ACKNOWLEDGEMENT + capture.SERIES + capture.frame(8, Kind.ALERT, word(2)),
}


@contextlib.asynccontextmanager
async def player(answer: bytes, request_size: int) -> AsyncGenerator[tuple[int, bytearray]]:
    """Play the server of a capture; yield the port and what the client has sent, which is complete in the end."""
    taken, closed = bytearray(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            taken.extend(await reader.readexactly(len(capture.HANDSHAKE)))
            writer.write(capture.SERVER_HANDSHAKE)
            taken.extend(await reader.readexactly(request_size))
            writer.write(answer)
            taken.extend(await reader.read())  # up to the end: the client says no more
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], taken
        async with asyncio.timeout(DEADLINE_S):
            await closed.wait()


def captured_client(port: int) -> IsiClientPeer:
    return IsiClientPeer(port, pid=capture.CLIENT_PID, garbage=capture.GARBAGE)


@pytest.mark.parametrize(("samples", "coded"), IDA_CASES)
def test_ida_examples_are_coded_and_read_as_by_the_c_code(samples: list[int], coded: str) -> None:
    data = bytes.fromhex(coded)
    assert ida_encode(samples) == data
    assert ida_decode(data, len(samples)) == samples


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_what_ida_codes_is_read_again(samples: list[int]) -> None:
    data = ida_encode(samples)
    differs = [(b - a) % 2**32 for a, b in zip([0, *samples], samples, strict=False)]
    assert (data is None) == (2**31 in differs)
    assert data is None or ida_decode(data, len(samples)) == samples


@pytest.mark.parametrize(("data", "count"), [("7e", 2), ("7e 7e", 1), ("80", 1), ("fe ff ff ff ff 01", 1)])
def test_ida_data_that_do_not_fit_are_refused(data: str, count: int) -> None:
    with pytest.raises(AssertionError):
        ida_decode(bytes.fromhex(data), count)


async def test_the_client_sends_and_reads_the_captured_soh() -> None:
    async with player(ANSWERS["soh"], len(capture.REQ_SOH)) as (port, taken):
        async with captured_client(port) as client:
            first, *_, empty = [Soh.unpack(entry) for entry in await client.request_report(Kind.REQ_SOH)]
            assert await client.alert() == 2
    assert bytes(taken) == capture.HANDSHAKE + capture.REQ_SOH
    assert client.server == {2: capture.SERVER_PID, 3: 30000, 4: 0, 5: 0}
    assert first == Soh(COCO, TOFS, 1069276400.5, 3.0, 2, 357608)
    assert empty == Soh(Name("pfo", "lhz", "  "), UNDEFINED, UNDEFINED, 0.0, 0, 0)
    assert first.pack() == capture.STREAM_SOH[16:-8]
    assert empty.pack() == capture.EMPTY_SOH
    assert len(client.nops) == 1


async def test_the_client_sends_and_reads_the_captured_cnf() -> None:
    async with player(ANSWERS["cnf"], len(capture.REQ_CNF)) as (port, taken):
        async with captured_client(port) as client:
            (entry,) = await client.request_report(Kind.REQ_CNF)
    assert bytes(taken) == capture.HANDSHAKE + capture.REQ_CNF
    cnf = Cnf.unpack(entry)
    assert cnf.rate == Rate(40, 1)
    assert cnf.coords == pytest.approx((-12.1901, 96.8349, 3.0, 70.0))
    assert cnf.inst == pytest.approx((0.0, -1.0, -999.9, -999.9))
    assert cnf.pack() == capture.STREAM_CNF[16:-8]


@pytest.mark.parametrize("compress", [1, 2])
async def test_the_client_sends_and_reads_the_captured_data(compress: int) -> None:
    asked = bytearray(capture.REQUEST)
    asked[capture.COMPRESS_AT : capture.COMPRESS_AT + 4] = word(compress)
    answer = ANSWERS["none"]
    if compress == 2:
        answer = answer.replace(capture.REQUEST[28:56], asked[28:56]).replace(capture.SERIES, capture.IDA_SERIES)
    async with player(answer, len(asked)) as (port, taken):
        async with captured_client(port) as client:
            beg, end = struct.unpack(">dd", capture.TIMES)
            acknowledged = await client.request_data("coco.*.*", beg, end, compress=compress)
            (packet,), cause = await client.until_alert()
    assert bytes(taken) == capture.HANDSHAKE + asked
    assert [str(window.name) for window in acknowledged.windows] == ["coco.bhz.20", "coco.bhn.20"]
    assert (packet.name, packet.tofs, packet.tols, packet.statuses) == (COCO, TOFS, TOFS + 0.175, (1, 1))
    assert [*packet.samples] == capture.SAMPLES
    assert (packet.compression, cause) == (compress, 2)


@pytest.mark.parametrize("compress", [1, 2])
async def test_the_server_answers_the_captured_request_byte_by_byte(compress: int) -> None:
    server = IsiServerPeer()
    server.pid, server.garbage = capture.SERVER_PID, b"\0"
    server.add(*COCO, TOFS, 40, capture.SAMPLES)
    server.declare("coco", "bhn", "20", 40)
    asked, acknowledged = bytearray(capture.REQUEST), bytearray(capture.ACKNOWLEDGEMENT)
    for each in (asked, acknowledged):
        each[capture.COMPRESS_AT : capture.COMPRESS_AT + 4] = word(compress)
    series = capture.SERIES if compress == 1 else capture.IDA_SERIES
    answer = await exchange(server, capture.HANDSHAKE + asked)
    assert answer == capture.SERVER_HANDSHAKE + acknowledged + series + capture.frame(8, Kind.ALERT, word(2))
    assert server.violations == []
    (request,) = server.requests
    assert request == Request(
        (Window(Name("coco", "*", "*"), *struct.unpack(">dd", capture.TIMES)),), compress=compress
    )


async def test_the_server_answers_the_captured_requests_of_reports() -> None:
    server = IsiServerPeer()
    server.pid, server.garbage = capture.SERVER_PID, b"\0"
    server.declare(*COCO, 40)
    server.store.states[COCO] = Soh.unpack(capture.STREAM_SOH[16:-8])
    server.store.configurations[COCO] = Cnf.unpack(capture.STREAM_CNF[16:-8])
    end = capture.frame(2, Kind.NULL) + capture.frame(3, Kind.ALERT, word(2))
    for request, entry in ((capture.REQ_SOH, capture.STREAM_SOH), (capture.REQ_CNF, capture.STREAM_CNF)):
        assert await exchange(server, capture.HANDSHAKE + request) == capture.SERVER_HANDSHAKE + entry + end
    assert server.violations == []


def test_the_remaining_captured_lines_are_what_they_are() -> None:
    assert Name("coco", "*", "*").pack(capture.GARBAGE) == capture.SPEC
    assert Name.unpack(capture.SPEC) == Name("coco", "*", "*")
    assert b"".join(pieces(2, Kind.NOP)) == capture.NOP
    assert b"".join(pieces(6, Kind.NULL)) == capture.SOH_NULL
    assert b"".join(pieces(7, Kind.ALERT, word(2))) == capture.SOH_ALERT
    assert unpack_packet(capture.IDA_PAYLOAD).samples == tuple(capture.SAMPLES)


async def test_captured_raw_requests_are_refused_and_raw_packets_passed_over() -> None:
    seqno, end = capture.frame(2, Kind.REQ_SEQNO, capture.REQ_SEQNO), capture.frame(3, Kind.NULL, bytes(4))
    for number, cause in ((1, 4), (2, 12)):
        asked = capture.frame(1, Kind.REQ_FORMAT, word(number)) + seqno + end
        assert causes(await exchange(IsiServerPeer(), handshake() + asked)) == [cause]
    server = filled()
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)
        server.send_frame(Kind.RAW_PKT, capture.RAW_BEGIN)
        await client.packet()
        server.add(*COCO, TOFS + 6, 10, [1])
        await client.packet()
        assert [frame.kind for frame in client.ignored] == [Kind.RAW_PKT]


@pytest.mark.parametrize("kind", [Kind.REQ_SOH, Kind.REQ_CNF, Kind.REQ_WFDISC, Kind.REQ_REPORT])
async def test_each_report_ends_with_null_alert_and_the_connection(kind: Kind) -> None:
    for server, count in ((IsiServerPeer(), 0), (filled(1), 1)):
        async with server.listening() as port, IsiClientPeer(port) as client:
            assert len(await client.request_report(kind)) == count
            assert await client.alert() == 2
            await client.end()
        assert server.violations == []
        assert [request.kind for request in server.requests] == [kind]


async def test_reports_say_what_is_stored() -> None:
    server = filled()
    server.declare("pfo", "lhz", "  ", 0.1)
    async with server.listening() as port:
        async with IsiClientPeer(port) as client:
            soh, empty = [Soh.unpack(entry) for entry in await client.request_report(Kind.REQ_SOH)]
        async with IsiClientPeer(port) as client:
            cnf, slow = [Cnf.unpack(entry) for entry in await client.request_report(Kind.REQ_CNF)]
        async with IsiClientPeer(port) as client:
            lines = [unpack_wfdisc(entry) for entry in await client.request_report(Kind.REQ_WFDISC)]
    assert (soh.name, soh.oldest, soh.youngest, soh.segments, soh.records) == (COCO, TOFS, TOFS + 4.9, 3, 3)
    assert (empty.oldest, empty.records) == (-1.0, 0)
    assert (cnf.rate, slow.rate) == (Rate(10, 1), Rate(-10, 1))
    assert [line["nsamp"] for line in lines] == [10, 10, 10]
    assert lines[0]["chan"] == "bhz20"
    assert sum(width for _, _, width, _ in WFDISC) + len(WFDISC) - 1 == 283


async def test_a_report_that_there_is_not_gets_alert_12() -> None:
    async with filled().listening() as port, IsiClientPeer(port) as client:
        with pytest.raises(IsiAlert, match="12"):
            await client.request_report(Kind.REQ_REPORT, 1)


SELECTIONS = [
    (UNDEFINED, NEWEST, "012"),
    (OLDEST, NEWEST, "012"),
    (KEEPUP, NEWEST, "012"),
    (NEWEST, NEWEST, "2"),
    (OLDEST, OLDEST, "0"),
    (NEWEST, OLDEST, ""),
    (OLDEST, UNDEFINED, ""),
    (TOFS - 100, TOFS + 100, "012"),
    (TOFS + 0.5, TOFS + 0.6, "0"),  # inside a packet
    (TOFS, TOFS + 2.0, "01"),
    (TOFS + 0.9, TOFS + 0.9, "0"),
    (TOFS + 1.5, TOFS + 2.5, "1"),  # begins in a gap
    (TOFS + 0.5, TOFS + 1.5, "01"),  # ends in a gap
    (TOFS + 5, TOFS + 100, ""),  # after the newest
    (TOFS - 100, TOFS - 1, ""),  # before the oldest
    (TOFS + 0.6, TOFS + 0.5, ""),  # ends before it begins
]


@pytest.mark.parametrize(("beg", "end", "expected"), SELECTIONS)
async def test_a_window_means_whole_packets(beg: float, end: float, expected: str) -> None:
    server = filled()
    async with server.listening() as port, IsiClientPeer(port) as client:
        assert len((await client.request_data("coco.bhz.20", beg, end)).windows) == 1
        packets, cause = await client.until_alert()
        await client.end()
    assert "".join(str(round(packet.tofs - TOFS) // 2) for packet in packets) == expected
    assert cause == 2


async def test_a_feed_from_the_future_waits_for_the_packet_that_holds_its_begin() -> None:
    server = filled()
    async with server.listening() as port, IsiClientPeer(port, timeout_ms=100) as client:
        await client.request_data("coco.bhz.20", TOFS + 8.5, KEEPUP)
        await client.until_nops(1)
        for index in (3, 4, 5):
            server.add(*COCO, TOFS + 2 * index, 10, [0] * 10)
        assert [packet.tofs - TOFS for packet in await client.packets(2)] == [8, 10]


async def test_packets_come_in_sweeps_and_streams_twice_if_two_specs_mean_them() -> None:
    server = filled(2)
    for index in range(3):
        server.add("pfo", "lhz", "  ", TOFS + 4 * index, 1, [1, 2, 3, 4])
    async with server.listening() as port, IsiClientPeer(port) as client:
        acknowledged = await client.request_data("*.*.*+coco.bhz.20", OLDEST, NEWEST)
        packets, _ = await client.until_alert()
    names = [str(window.name) for window in acknowledged.windows]
    assert names == ["coco.bhz.20", "pfo.lhz.  ", "coco.bhz.20"]
    assert [str(packet.name) for packet in packets] == [*names, *names, "pfo.lhz.  "]
    assert server.sent == 7


@pytest.mark.parametrize("spec", ["COCO.bhz.20", "coco.bh*.20", "coco.bhz", "coco.bhz.*0"])
async def test_what_means_no_stream_is_acknowledged_empty_and_gets_alert_0(spec: str) -> None:
    server = filled()
    async with server.listening() as port, IsiClientPeer(port) as client:
        assert (await client.request_data(spec, OLDEST, NEWEST)).windows == ()
        assert await client.alert() == 0
        assert client.resumed_request() == Request(compress=5)
        assert (await client.reconnect()).alert == 10  # and so on for ever: a fault of the C client
        assert client.resumed_request() == Request(compress=5)
    assert server.violations == ["a request without a stream"]


@pytest.mark.parametrize(("compress", "compression"), [(1, 1), (2, 2), (0, 2), (5, 2), (99, 2)])
async def test_any_compression_but_none_means_ida(compress: int, compression: int) -> None:
    server = filled(1)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", OLDEST, NEWEST, compress=compress)
        ((packet,), _) = await client.until_alert()
    assert (packet.compression, packet.samples) == (compression, tuple(range(10)))


@pytest.mark.parametrize(("samples", "kind"), [([0, 2**30, -(2**30)], 3), ([-(2**31)], 3), ([1, -2, 300], INT16)])
async def test_what_ida_makes_longer_or_cannot_code_is_sent_as_it_is(samples: list[int], kind: int) -> None:
    server = IsiServerPeer()
    server.add(*COCO, TOFS, 10, samples, kind=kind)
    async with server.listening() as port:
        for server.order in (0, 1):
            async with IsiClientPeer(port) as client:
                await client.request_data("*.*.*", OLDEST, NEWEST)
                packet = await client.packet()
            assert (packet.compression, packet.order, packet.samples) == (1, server.order, tuple(samples))


async def test_a_lie_about_the_order_spoils_integers_and_big_endian_spoils_floats() -> None:
    server = IsiServerPeer()
    server.add(*COCO, TOFS, 10, [1, 2])
    server.add("pfo", "lhz", "  ", TOFS, 10, [1.0], kind=REAL32)
    server.lies_about_order = True
    async with server.listening() as port:
        async with IsiClientPeer(port) as client:
            await client.request_data("*.*.*", OLDEST, NEWEST, compress=1)
            swapped, good = await client.packets(2)
        server.lies_about_order, server.order = False, LITTLE
        async with IsiClientPeer(port) as client:
            await client.request_data("*.*.*", OLDEST, NEWEST, compress=1)
            assert [packet.samples for packet in await client.packets(2)] == [(1, 2), (1.0,)]
    assert swapped.samples == (1 << 24, 2 << 24)
    assert good.samples == (1.0,)


async def test_heartbeats_come_in_silence_only_and_new_packets_at_once() -> None:
    server = filled(1)
    async with server.listening() as port, IsiClientPeer(port, timeout_ms=200) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)
        await client.packet()
        await client.until_nops(3)
        assert client.nops[-1] - client.nops[0] >= 0.19
        server.add(*COCO, TOFS + 2, 10, [7])
        assert (await client.packet()).samples == (7,)
        assert server.feeds == 1
    await until(lambda: not server.clients)
    assert server.violations == []
