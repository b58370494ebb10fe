"""The ISI client and server of the tests: what goes wrong, and how the client goes on."""

import asyncio
import struct
from typing import Any

import pytest

from tests.helpers import until
from tests.isi import capture
from tests.isi.client_peer import IsiClientPeer, IsiClosed
from tests.isi.exchange import COCO, TOFS, causes, exchange, filled, handshake
from tests.isi.server_peer import IsiServerPeer
from tests.isi.wire import KEEPUP, NEWEST, OLDEST, Kind, Name, Request, Window, word

TWIND = (Kind.REQ_TWIND, Window(COCO, OLDEST, NEWEST).pack())
SEQNO = (Kind.REQ_SEQNO, capture.REQ_SEQNO)
FORMAT, COMPRESS, POLICY = ((kind, word(1)) for kind in (Kind.REQ_FORMAT, Kind.REQ_COMPRESS, Kind.REQ_POLICY))
END = (Kind.NULL, bytes(4))


def frames(*parts: tuple[int, bytes]) -> bytes:
    return b"".join(capture.frame(number, *part) for number, part in enumerate(parts, 1))


REFUSED: list[tuple[bytes, list[int], str]] = [
    (frames((Kind.NOP, b"")), [12], "type 101 before a request"),
    (frames((4711, b"")), [12], "type 4711 before a request"),
    (frames((Kind.ALERT, word(1))), [], "ALERT before a request"),
    (frames(END), [10], "a request without a stream"),
    (frames(FORMAT, COMPRESS, POLICY, END), [10], "a request without a stream"),
    (frames(TWIND, SEQNO, END), [10], "windows and sequence numbers in one request"),
    (frames((Kind.REQ_TWIND, bytes(27))), [10], "a TWIND of 27 bytes"),
    (frames(END).replace(b"IACP", b"IAXP"), [3, 0], "a frame begins with b'IAXP'"),
    (frames((Kind.REQ_SOH, bytes(32769))), [3, 0], "type 1001 has 32769 bytes"),
    (frames(END)[:-4] + word(41), [3, 0], "the trailer of type 0 has key 0 and a signature of 41 bytes"),
]


@pytest.mark.parametrize(("data", "expected", "violation"), REFUSED)
async def test_the_server_alerts_by_cause(data: bytes, expected: list[int], violation: str) -> None:
    server = filled()
    assert causes(await exchange(server, handshake() + data)) == expected
    assert server.violations[0] == violation
    assert server.requests == []


@pytest.mark.parametrize("number", [0, 2, 3, 7])
async def test_a_format_that_is_not_generic_gets_alert_12_and_no_acknowledgement(number: int) -> None:
    server = filled()
    asked = frames((Kind.REQ_FORMAT, word(number)), COMPRESS, POLICY, TWIND, END)
    assert causes(await exchange(server, handshake() + asked)) == [12]
    assert server.violations == []


@pytest.mark.parametrize("data", [b"", frames(FORMAT, COMPRESS)])
async def test_a_client_that_does_not_finish_its_request_gets_alert_0(data: bytes) -> None:
    assert causes(await exchange(filled(), handshake(50) + data)) == [0]


NO_HANDSHAKES = [
    (frames((Kind.REQ_SOH, b"")), "the first frame has type 1001"),
    (capture.frame(0, Kind.HANDSHAKE, word(6) + struct.pack(">III", 9, 4, 0) * 6), "no handshake came"),
    (capture.frame(0, Kind.HANDSHAKE, b"\0"), "no u32: 00"),
]


@pytest.mark.parametrize(("data", "violation"), NO_HANDSHAKES)
async def test_without_a_handshake_the_server_closes_without_a_word(data: bytes, violation: str) -> None:
    server = filled()
    assert await exchange(server, data) == b""
    assert violation in server.violations


GOOD = (FORMAT, COMPRESS, POLICY, TWIND, END)
VIOLATIONS = [
    (frames(*GOOD[:-1], (Kind.NULL, b"")), "NULL has the payload '', not four zeros"),
    (frames(TWIND, END), "the parts of the request come in the order [1007, 0]"),
    (frames(COMPRESS, FORMAT, *GOOD[2:]), "the parts of the request come in the order [1005, 1004, 1006, 1007, 0]"),
    (frames(*GOOD, (Kind.NOP, b"")), f"the client writes after its request: {capture.frame(6, Kind.NOP).hex(' ')}"),
    (frames(FORMAT, FORMAT, *GOOD[1:]), "the parts of the request come in the order [1004, 1004, 1005, 1006, 1007, 0]"),
    (capture.frame(9, *FORMAT) + frames(*GOOD)[28:], "type 1004 has number 9, not 1"),
    (frames(*GOOD[:3], (Kind.REQ_TWIND, Window(COCO, 5.0, 4.0).pack()), END), "coco.bhz.20 ends before it begins"),
]


@pytest.mark.parametrize(("data", "violation"), VIOLATIONS)
async def test_the_server_notes_what_the_c_client_never_does(data: bytes, violation: str) -> None:
    server = filled()
    answer = await exchange(server, handshake() + data)
    assert answer.endswith(struct.pack(">4I", 4, 2, 0, 0))
    assert violation in server.violations
    assert len(server.requests) == 1


async def test_a_client_that_writes_during_the_feed_is_noted() -> None:
    server = filled(1)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)
        await client.packet()
        await client.send(Kind.NOP)
        await until(lambda: server.violations)


@pytest.mark.parametrize(("policy", "beg"), [(1, TOFS + 3), (2, TOFS + 3), (3, NEWEST)])
async def test_a_continuous_feed_goes_on_after_a_restart(policy: int, beg: float) -> None:
    server = filled(2)
    server.declare("pfo", "lhz", "  ", 1)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", TOFS, KEEPUP, policy=policy)
        await client.packets(2)
        await server.restart()
        assert await client.until_closed() == ([], False)
        for index in (2, 3):
            server.add(*COCO, TOFS + 2 * index, 10, [0] * 10)
        await client.reconnect()
        server.add(*COCO, TOFS + 8, 10, [0])
        await client.packets(2 if policy == 3 else 3)
    expected = (Window(COCO, beg, KEEPUP), Window(Name("pfo", "lhz", "  "), TOFS, KEEPUP))
    assert server.requests[1] == Request(expected, compress=2, policy=policy)
    times = [round(packet.tofs - TOFS) for packet in client.received]
    assert times == ([0, 2, 6, 8] if policy == 3 else [0, 2, 4, 6, 8])
    assert server.violations == []


async def test_a_broken_segment_is_forgotten_after_its_first_packet_as_by_the_c_client() -> None:
    server = filled()
    server.cut_next(10, Kind.ALERT)
    server.declare("pfo", "lhz", "  ", 1)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", OLDEST, TOFS + 100)
        assert (len(client.received), await client.until_closed()) == (0, (client.received, True))
        assert client.resumed_request().windows == (Window(Name("pfo", "lhz", "  "), OLDEST, TOFS + 100),)


async def test_an_alert_in_the_acknowledgement_is_taken_for_an_empty_one() -> None:
    async with filled().listening() as port, IsiClientPeer(port) as client:
        acknowledged = await client.request_data("*.*.*", OLDEST, NEWEST, format=3)
        assert (acknowledged.windows, acknowledged.alert) == ((), 12)
        assert client.resumed_request() == Request()


async def test_the_server_misbehaves_on_demand() -> None:
    server = filled(1)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)
        await client.packet()
        await server.alert_clients(9)
        assert await client.until_alert() == ([], 9)
        await client.end()
        await client.reconnect()
        await server.drop_clients(reset=True)
        assert await client.until_closed() == ([], False)
        server.cut_next(50)
        server.add(*COCO, TOFS + 2, 10, [1])
        await client.reconnect()
        with pytest.raises(IsiClosed, match="inside a payload"):
            await client.packet()
        await client.reconnect()
        assert (await client.packet()).samples == (1,)
        server.matches_nothing = True
        assert (await client.reconnect()).windows == ()
        assert await client.alert() == 0
        await client.end()
    assert server.violations == []


async def test_a_silent_server_sends_what_it_held_back_when_it_speaks_again() -> None:
    server = filled(1)
    async with server.listening() as port, IsiClientPeer(port, timeout_ms=60) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)
        await client.packet()
        await client.until_nops(1)
        server.silence()
        server.add(*COCO, TOFS + 2, 10, [1])
        other = IsiClientPeer(port)
        async with asyncio.TaskGroup() as group:
            waiting, connecting = (group.create_task(each) for each in (client.packet(), other.connect()))
            await until(lambda: server.clients == 2)
            assert not waiting.done()
            assert not connecting.done()
            server.speak()
        assert client.received[-1].samples == (1,)
        await other.aclose()


def series(data: bytes = bytes(8), **changes: float | bytes) -> bytes:
    """Return a GENERIC_TS of two int32 samples with some fields changed."""
    fields: dict[str, float | bytes] = {
        "name": COCO.pack(),
        "factor": 10,
        "multiplier": 1,
        "tofs": TOFS,
        "status": 1,
        "tols": TOFS + 0.1,
        "status_2": 1,
        "cd": bytes(16),
        "nsamp": 2,
        "nbytes": 8,
        "compression": 1,
        "type": 3,
        "order": 1,
        "size": 4,
    }
    return struct.pack(">12shhdHdH16sIIBBBB", *(fields | changes).values()) + data


BAD_SERIES: list[tuple[dict[str, Any], str]] = [
    ({"name": b"\xff" + COCO.pack()[1:]}, "no ASCII"),
    ({"multiplier": 2, "tols": TOFS + 0.05}, "gets Rate"),
    ({"factor": 0}, "no rate"),
    ({"tols": TOFS + 0.2}, "do not end at"),
    ({"tols": TOFS + 0.100002}, "do not end at"),
    ({"nsamp": 0}, "no samples"),
    ({"nsamp": 3, "tols": TOFS + 0.2}, "3 samples of 4 bytes in 8"),
    ({"nbytes": 9}, "9 bytes are announced"),
    ({"compression": 3}, "cannot read compression 3"),
    ({"compression": 5}, "cannot read compression 5"),
    ({"compression": 2}, "are left after 2 samples"),
    ({"compression": 2, "type": 2, "size": 2}, "cannot expand type 2"),
    ({"type": 0}, "there is no type 0"),
    ({"size": 2}, "has no 2 bytes"),
    ({"order": 255}, "there is no order 255"),
    ({"data": bytes(7)}, "7 came"),
]


@pytest.mark.parametrize(("changes", "text"), BAD_SERIES)
async def test_the_client_refuses_data_that_the_c_client_gets_wrong(changes: dict[str, Any], text: str) -> None:
    server = IsiServerPeer()
    server.declare(*COCO, 10)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)
        server.send_frame(Kind.GENERIC_TS, series())
        assert (await client.packet()).samples == (0, 0)
        server.send_frame(Kind.GENERIC_TS, series(**changes))
        with pytest.raises(AssertionError, match=text):
            await client.packet()


NO_FRAMES = [
    (capture.frame(4, Kind.NOP).replace(b"IACP", b"IAXP"), "begins with b'IAXP'"),
    (capture.frame(9, Kind.NOP), "has number 9"),
    (capture.frame(6, Kind.NOP)[:-1] + b"\1", "the trailer"),
    (capture.frame(6, Kind.NOP, b"x"), "a heartbeat of 1 bytes"),
    (capture.frame(6, Kind.GENERIC_TS, bytes(32772)), "a payload of 32772 bytes"),
    (capture.frame(6, Kind.ALERT, b""), "no u32"),
]


@pytest.mark.parametrize(("data", "text"), NO_FRAMES)
async def test_the_client_refuses_frames_that_are_none(data: bytes, text: str) -> None:
    server = IsiServerPeer()
    server.declare(*COCO, 10)
    async with server.listening() as port, IsiClientPeer(port) as client:
        await client.request_data("*.*.*", NEWEST, KEEPUP)  # answered by frames 0 to 5
        server.send_raw(data)
        with pytest.raises(AssertionError, match=text):
            await client.packet()


NO_ACKNOWLEDGEMENTS = [
    ([(Kind.REQ_COMPRESS, word(2))], "has type 1005 where"),
    ([(Kind.REQ_FORMAT, word(2))], "is acknowledged with 00000002"),
    ([FORMAT, (Kind.REQ_COMPRESS, word(2)), (Kind.REQ_POLICY, word(2)), TWIND], "was not asked for"),
    ([FORMAT, (Kind.REQ_COMPRESS, word(2)), (Kind.REQ_POLICY, word(2)), (Kind.ENOSUCH, word(1))], "type 102 in the"),
]


@pytest.mark.parametrize(("parts", "text"), NO_ACKNOWLEDGEMENTS)
async def test_the_client_refuses_an_acknowledgement_of_something_else(
    parts: list[tuple[int, bytes]], text: str
) -> None:
    server = filled()
    async with server.listening() as port, IsiClientPeer(port) as client:
        server.silence()
        for kind, payload in parts:
            server.send_frame(kind, payload)
        with pytest.raises(AssertionError, match=text):
            await client.request_data("coco.bhz.20", NEWEST, KEEPUP)


@pytest.mark.parametrize(
    ("kind", "entry", "text"),
    [
        (Kind.REQ_SOH, (Kind.STREAM_SOH, bytes(47)), "an entry of 47 bytes, not 48"),
        (Kind.REQ_SOH, (Kind.STREAM_SOH, bytes(145)), "the C client takes 144"),
        (Kind.REQ_CNF, (Kind.STREAM_CNF, bytes(161)), "the C client takes 160"),
        (Kind.REQ_CNF, (Kind.STREAM_CNF, bytes(55)), "no rate"),
        (Kind.REQ_WFDISC, (Kind.WFDISC, b" " * 282), "an entry of 282 bytes, not 283"),
        (Kind.REQ_WFDISC, (Kind.WFDISC, b"-" * 283), "is followed by no blank"),
        (Kind.REQ_SOH, (Kind.ENOSUCH, word(1001)), "operation not supported"),
        (Kind.REQ_SOH, (Kind.ALERT, word(4)), "ALERT 4"),
        (Kind.REQ_SOH, (Kind.NULL, bytes(3)), "a NULL of 3 bytes"),
    ],
)
async def test_the_client_refuses_entries_that_are_none(kind: Kind, entry: tuple[int, bytes], text: str) -> None:
    server = filled()
    async with server.listening() as port, IsiClientPeer(port) as client:
        server.silence()
        server.send_frame(*entry)
        with pytest.raises(AssertionError, match=text):
            await client.request_report(kind)
