"""ZMQPublisher: packets reach real ZMQ sockets by every kind of endpoint, encrypted ones only with the right key."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.auth

from rawdaq.config.curve import CurveSettings
from rawdaq.config.options import read_options
from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.message import decode
from rawdaq.publisher import PublisherUnavailable
from rawdaq.publishers import zmq_any
from rawdaq.publishers.zmq_any import ZMQPublisher
from rawdaq.receivers.zmq_in import ZMQReceiver
from rawdaq.sockets import connection_state, zmq_dialling, zmq_socket
from tests.helpers import DEADLINE_S, ROOT, until
from tests.makers import STREAM, packet
from tests.names import NAME, Names
from tests.receivers.zmq_senders import STATION, Keeper
from tests.servers import serving

ANY_PORT = "tcp://127.0.0.1:*"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(connection_state, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(zmq_dialling, "_GIVEN_UP_S", 0.05)
    monkeypatch.setattr(zmq_socket, "_CHECK_S", 0.01)
    caplog.set_level("INFO", "rawdaq")


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@contextlib.asynccontextmanager
async def publishing(**options: Any) -> AsyncGenerator[ZMQPublisher]:
    """Give an open publisher that is watched, and close it."""
    publisher = ZMQPublisher(**options)
    await publisher.open()
    watching = asyncio.ensure_future(publisher.watch())
    try:
        yield publisher
    finally:
        watching.cancel()
        publisher.close_timeout_s = 0.1
        await publisher.aclose()
        await publisher.aclose()


def connected(
    context: Any, kind: int, address: str, curve: tuple[Path, Path] | None = None, high_water_mark: int = 1000
) -> Any:
    """Give a socket that is connected to *address*, with its own secret and the server's public key file if named."""
    made = context.socket(kind)
    made.rcvhwm = high_water_mark
    made.setsockopt(zmq.IPV6, 1)
    if kind == zmq.SUB:
        made.subscribe(b"")
    if curve is not None:
        made.curve_publickey, made.curve_secretkey = zmq.auth.load_certificate(curve[0])
        made.curve_serverkey = zmq.auth.load_certificate(curve[1])[0]
    made.connect(address)
    return made


async def subscribed(publisher: ZMQPublisher, subscriber: Any) -> None:
    """Return when what is published arrives at *subscriber*."""
    while not subscriber.poll(10):
        await publisher.deliver([b"?"])
        await asyncio.sleep(0)
    while subscriber.poll(100):
        subscriber.recv_multipart()


async def received(taker: Any, count: int) -> list[Packet]:
    """Return the packets of the next *count* messages."""
    packets: list[Packet] = []
    while len(packets) < count:
        await until(lambda: taker.poll(0))
        packets.append(decode(taker.recv_multipart()))
    return packets


def peers(publisher: ZMQPublisher) -> Any:
    return publisher.status()["peers"]


PACKETS = [packet(index, sequence=index) for index in range(5)]
RUN = PacketRun(STREAM, [each.start_ns for each in PACKETS], 100.0, np.stack([each.samples for each in PACKETS]))


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


LOOPBACK = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


@pytest.mark.parametrize("address", [ANY_PORT, f"tcp://{LOOPBACK}:*", "tcp://[::1]:*", "ipc://{folder}/live"])
async def test_packets_reach_a_subscriber_by_every_kind_of_endpoint(address: str, context: Any, tmp_path: Path) -> None:
    if "::1" in address and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with publishing(bind=address.format(folder=tmp_path)) as publisher:
        with connected(context, zmq.SUB, publisher.address.replace(f"//{LOOPBACK}:", "//127.0.0.1:")) as subscriber:
            await subscribed(publisher, subscriber)
            assert publisher.try_deliver(PACKETS[:2])
            await publisher.deliver(PACKETS[2:])
            assert await received(subscriber, 5) == PACKETS
            await until(lambda: publisher.status()["connected"])
            assert (publisher.status()["type"], publisher.status()["address"]) == ("PUB", publisher.address)


async def test_plain_bytes_go_out_as_they_are_and_counted(context: Any) -> None:
    async with publishing(bind=ANY_PORT) as publisher:
        with connected(context, zmq.SUB, publisher.address) as subscriber:
            await subscribed(publisher, subscriber)
            before: Any = publisher.status()
            assert publisher.try_deliver([b"abc"])
            await until(lambda: subscriber.poll(0))
            assert subscriber.recv_multipart() == [b"abc"]
            after: Any = publisher.status()
            assert (after["messages"] - before["messages"], after["bytes"] - before["bytes"]) == (1, 3)


async def test_a_run_is_sent_as_its_packets_and_a_large_batch_lets_others_run(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_any, "_YIELD_MESSAGES", 2)
    ran: list[int] = []
    async with publishing(bind=ANY_PORT) as publisher:
        with connected(context, zmq.SUB, publisher.address) as subscriber:
            await subscribed(publisher, subscriber)
            assert not publisher.try_deliver(PACKETS)
            asyncio.get_running_loop().call_soon(ran.append, 1)
            await publisher.deliver([RUN])
            assert ran == [1]
            assert await received(subscriber, 5) == PACKETS


async def test_a_publisher_that_connects_reaches_one_that_binds(context: Any) -> None:
    with context.socket(zmq.PULL) as puller:
        puller.bind(ANY_PORT)
        async with publishing(connect=puller.last_endpoint.decode(), type="PUSH") as publisher:
            await until(lambda: publisher.status()["connected"])
            await publisher.deliver(PACKETS)
            assert await received(puller, 5) == PACKETS


# --- PUSH ----------------------------------------------------------------------------------------------------------


async def test_two_pull_sockets_share_the_messages(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH") as publisher:
        with (
            connected(context, zmq.PULL, publisher.address) as one,
            connected(context, zmq.PULL, publisher.address) as other,
        ):
            await until(lambda: peers(publisher) == 2)
            await publisher.deliver([packet(index, sequence=index) for index in range(10)])
            numbers = [[each.sequence for each in await received(puller, 5)] for puller in (one, other)]
    assert sorted(numbers) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


async def test_without_a_pull_socket_nothing_is_lost_and_the_reason_is_given(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH") as publisher:
        assert not publisher.try_deliver(PACKETS)
        with pytest.raises(
            PublisherUnavailable, match=r"no PULL socket is connected at tcp://.*; does the other"
        ) as raised:
            await publisher.deliver(PACKETS)
        assert raised.value.delivered == 0
        with connected(context, zmq.PULL, publisher.address) as puller:
            await until(lambda: peers(publisher))
            assert publisher.try_deliver(PACKETS)
            assert await received(puller, 5) == PACKETS


BLOBS = [bytes(100_000)] * 500  # more than two systems and two ZMQ sockets keep for each other


async def test_a_push_socket_waits_for_a_slow_peer_and_loses_nothing(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH", high_water_mark=2) as publisher:
        with connected(context, zmq.PULL, publisher.address, high_water_mark=2) as puller:
            await until(lambda: peers(publisher))
            with pytest.raises(PublisherUnavailable) as raised:
                publisher.try_deliver(BLOBS)
            assert 0 < raised.value.delivered < len(BLOBS)
            delivering = asyncio.ensure_future(publisher.deliver([*BLOBS[raised.value.delivered :], b"last"]))
            messages: list[bytes] = []
            while b"last" not in messages:
                await until(lambda: puller.poll(0))
                messages.append(puller.recv())
            await delivering
    assert messages == [*BLOBS, b"last"]


async def test_a_peer_that_takes_nothing_is_reported(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_any, "_STUCK_S", 0.01)
    async with publishing(bind=ANY_PORT, type="PUSH", high_water_mark=1) as publisher:
        with connected(context, zmq.PULL, publisher.address, high_water_mark=1):
            await until(lambda: peers(publisher))
            with pytest.raises(PublisherUnavailable, match=r"no PULL socket took a message for 0\.01 s at"):
                await publisher.deliver(BLOBS)


async def test_a_peer_that_leaves_ends_the_wait_for_room(context: Any) -> None:
    async with publishing(bind=ANY_PORT, type="PUSH", high_water_mark=1) as publisher:
        puller = connected(context, zmq.PULL, publisher.address, high_water_mark=1)
        await until(lambda: peers(publisher))
        delivering = asyncio.ensure_future(publisher.deliver(BLOBS))
        await until(lambda: publisher.status()["messages"])
        puller.close(0)
        with pytest.raises(PublisherUnavailable):
            await asyncio.wait_for(delivering, DEADLINE_S)


# --- CURVE ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder of key files: of a server, of a client that it knows, and of one that it does not know."""
    folder = tmp_path / "keys"
    (folder / "clients").mkdir(parents=True)
    before = os.umask(0o077)
    for name in ("server", "known", "unknown"):
        zmq.auth.create_certificates(folder, name)
    os.umask(before)
    (folder / "known.key").rename(folder / "clients" / "known.key")
    return folder


def server(keys: Path, *, checks: bool = True) -> CurveSettings:
    return CurveSettings(key=keys / "server.key_secret", clients=keys / "clients" if checks else None)


async def test_a_client_with_a_known_key_is_served_and_one_with_another_is_refused_and_logged(
    context: Any, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(bind=ANY_PORT, curve=server(keys)) as publisher:
        known, unknown = (
            (keys / "known.key_secret", keys / "server.key"),
            (keys / "unknown.key_secret", keys / "server.key"),
        )
        with (
            connected(context, zmq.SUB, publisher.address, known) as subscriber,
            connected(context, zmq.SUB, publisher.address, unknown) as stranger,
        ):
            await subscribed(publisher, subscriber)
            await until(lambda: "refused" in caplog.text)
            await publisher.deliver(PACKETS)
            assert await received(subscriber, 5) == PACKETS
            assert not stranger.poll(0)
            await until(lambda: peers(publisher) == 1)
    key = zmq.auth.load_certificate(keys / "unknown.key")[0].decode()
    (line,) = [line for line in caplog.messages if line.startswith("refused")]
    assert line == (
        f"refused 1 connections of clients whose keys are not in {keys}/clients, the last one with the key {key}; "
        "copy its public key file there to let it connect"
    )


async def test_a_client_may_connect_once_its_key_file_is_copied_there(context: Any, keys: Path) -> None:
    async with publishing(bind=ANY_PORT, curve=server(keys)) as publisher:
        (keys / "unknown.key").rename(keys / "clients" / "late.key")
        curve = (keys / "unknown.key_secret", keys / "server.key")
        with connected(context, zmq.SUB, publisher.address, curve) as subscriber:
            await subscribed(publisher, subscriber)


async def test_a_broken_key_file_among_those_of_clients_leaves_the_others_valid(
    context: Any, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(bind=ANY_PORT, curve=server(keys)) as publisher:
        (keys / "clients" / "broken.key").write_text("no key")
        curve = (keys / "known.key_secret", keys / "server.key")
        with connected(context, zmq.SUB, publisher.address, curve) as subscriber:
            await subscribed(publisher, subscriber)
    assert f"{keys}/clients/broken.key is no key file of ZMQ" in caplog.text


async def test_a_client_that_expects_another_server_is_refused_and_logged(
    context: Any, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(bind=ANY_PORT, curve=server(keys, checks=False)) as publisher:
        right, wrong = (
            (keys / "unknown.key_secret", keys / "server.key"),
            (keys / "unknown.key_secret", keys / "unknown.key"),
        )
        with (
            connected(context, zmq.SUB, publisher.address, right) as subscriber,
            connected(context, zmq.SUB, publisher.address, wrong) as stranger,
            connected(context, zmq.SUB, publisher.address) as open_one,
        ):
            await subscribed(publisher, subscriber)
            await until(lambda: "has another key in `server_key` than ours" in caplog.text)
            await publisher.deliver(PACKETS)
            assert await received(subscriber, 5) == PACKETS
            assert not stranger.poll(0)
            assert not open_one.poll(0)


@contextlib.asynccontextmanager
async def receiving(address: str, curve: CurveSettings) -> AsyncGenerator[tuple[ZMQReceiver, list[Any]]]:
    keeper = Keeper()
    receiver = ZMQReceiver([keeper], STATION, endpoints=[address], curve=curve, bind=curve.server_key is None)
    async with serving(receiver):
        yield receiver, keeper.items


async def arrived(publisher: ZMQPublisher, items: Sequence[Any]) -> None:
    """Return when what is published arrives."""
    while not items:
        await publisher.deliver([packet()])
        await asyncio.sleep(0)


async def test_a_receiver_with_the_right_key_reads_and_one_that_is_not_known_is_told_why(
    keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = CurveSettings(key=keys / "known.key_secret", server_key=keys / "server.key")
    unknown = CurveSettings(key=keys / "unknown.key_secret", server_key=keys / "server.key")
    async with publishing(bind=ANY_PORT, curve=server(keys)) as publisher:
        async with receiving(publisher.address, known) as (_, items):
            await arrived(publisher, items)
        async with receiving(publisher.address, unknown) as (receiver, _):
            await until(lambda: f"{publisher.address}: it refuses our key" in caplog.text)
            assert "it refuses our key" in str(receiver.endpoints[0].status()["last_failure"])


async def test_a_receiver_that_binds_checks_the_keys_of_publishers(
    keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(ANY_PORT, server(keys)) as (receiver, items):
        address = receiver.endpoints[0].address
        known = CurveSettings(key=keys / "known.key_secret", server_key=keys / "server.key")
        unknown = CurveSettings(key=keys / "unknown.key_secret", server_key=keys / "server.key")
        async with publishing(connect=address, curve=known) as publisher:
            await arrived(publisher, items)
        async with publishing(connect=address, curve=unknown):
            await until(lambda: "refused 1 connections of clients" in caplog.text)
            await until(lambda: f"{address}: it refuses our key" in caplog.text)


# --- what cannot be opened -----------------------------------------------------------------------------------------


async def refusal(**options: Any) -> str:
    """Return why a publisher with these options cannot be opened."""
    publisher = ZMQPublisher(**options)
    with pytest.raises(ComponentError) as raised:
        await publisher.open()
    await publisher.aclose()
    assert "\n" not in str(raised.value)
    return str(raised.value)


async def test_an_address_that_cannot_be_used_is_reported_with_a_remedy(tmp_path: Path) -> None:
    async with publishing(bind=ANY_PORT) as first, publishing(bind=f"ipc://{tmp_path}/live") as second:
        assert await refusal(bind=first.address) == (
            f"cannot bind ZMQ {first.address}: Address already in use; "
            "another program uses it (`ss -lntup`, `ss -lx` show which): stop it, or take another port"
        )
        assert "Address already in use" in await refusal(bind=second.address)
    assert "no interface of this machine has that name or address" in await refusal(bind="tcp://nothere0:9007")
    assert "the folder of an ipc address must exist" in await refusal(bind=f"ipc://{tmp_path}/no/live")
    assert "take a shorter one" in await refusal(bind="ipc:///" + "a" * 200)


async def test_a_path_that_a_dead_program_left_is_used_again(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "live"))
    async with publishing(bind=f"ipc://{tmp_path}/live") as publisher:
        assert publisher.address == f"ipc://{tmp_path}/live"


async def test_a_key_file_that_cannot_be_used_is_reported_with_a_remedy(keys: Path) -> None:
    secret = keys / "server.key_secret"

    async def of_key(name: str) -> str:
        return await refusal(bind=ANY_PORT, curve=CurveSettings(key=keys / name))

    assert f"{keys}/server.key holds no secret key: name the file that ends with .key_secret" == await of_key(
        "server.key"
    )
    assert f"cannot read the key file {keys}/absent: No such file or directory; let this user" in await of_key("absent")
    (keys / "text").write_text("no key")
    (keys / "text").chmod(0o600)
    assert f"{keys}/text is no key file of ZMQ: zmq.auth.create_certificates makes them" == await of_key("text")
    (keys / "folder").mkdir(mode=0o700)
    assert f"cannot read the key file {keys}/folder: Is a directory" in await of_key("folder")
    secret.chmod(0o644)
    assert f"others may read the secret key file {secret}: `chmod 600 {secret}`" == await of_key(secret.name)
    secret.chmod(0o600)
    clients = CurveSettings(key=secret, clients=keys / "nowhere")
    assert "cannot read the folder of client keys" in await refusal(bind=ANY_PORT, curve=clients)
    absent = CurveSettings(key=secret, server_key=keys / "absent.key")
    assert "cannot read the key file" in await refusal(connect="tcp://127.0.0.1:9", curve=absent)


# --- options -------------------------------------------------------------------------------------------------------


def problems(**options: Any) -> str:
    """Return what `control-rawdaq check` would report."""
    made, mistakes = read_options(ZMQPublisher, options, ROOT)
    return "; ".join(mistake.text for mistake in mistakes) or ZMQPublisher.check_options(made) or ""


def test_options_are_checked_before_anything_starts() -> None:
    key, name = {"key": "a.key_secret"}, "tcp://127.0.0.1:9007"
    for good in ({"bind": name}, {"connect": name, "type": "PUSH"}, {"bind": name, "curve": {**key, "clients": "c"}}):
        assert problems(**good) == "", good
    assert problems(connect=name, curve={**key, "server_key": "b.key"}) == ""
    assert "give either `bind` or `connect`" in problems()
    assert "give either `bind` or `connect`" in problems(bind=name, connect=name)
    assert "is not a zmq address" in problems(bind="127.0.0.1:9007")
    assert "name the machine to connect to" in problems(connect="tcp://*:9007")
    assert "remove `server_key`" in problems(bind=name, curve={**key, "server_key": "b.key"})
    assert "has `key` and `server_key`" in problems(connect=name, curve=key)
    assert "has `key` and `server_key`" in problems(connect=name, curve={**key, "server_key": "b", "clients": "c"})
    wrong: list[dict[str, Any]] = [
        {"type": "XPUB"},
        {"high_water_mark": 0},
        {"curve": {}},
        {"curve": {**key, "server": "b"}},
    ]
    for options in wrong:
        assert problems(bind=name, **options) != "", options
    with pytest.raises(InvalidValue, match="give either"):
        ZMQPublisher()


def test_key_files_are_found_from_the_folder_of_the_station_file() -> None:
    options = read_options(ZMQPublisher, {"bind": ANY_PORT, "curve": {"key": "keys/a", "clients": "/b"}}, Path("/etc"))[
        0
    ]
    assert options["curve"] == CurveSettings(key=Path("/etc/keys/a"), clients=Path("/b"))


def test_the_address_that_it_binds_is_for_it_alone() -> None:
    def exclusive(**options: Any) -> str | None:
        return ZMQPublisher.exclusive(read_options(ZMQPublisher, options, ROOT)[0])

    assert exclusive(bind="tcp://*:9007") == "tcp://0.0.0.0:9007"
    assert exclusive(bind="ipc:///run/live") == "ipc:///run/live"
    assert exclusive(bind=ANY_PORT) is exclusive(connect="tcp://127.0.0.1:9007") is None


@pytest.mark.parametrize(("type", "kind"), [("PUSH", zmq.PULL), ("PUB", zmq.SUB)])
async def test_a_publisher_that_connects_tries_all_addresses_of_a_name(
    context: Any, names: Names, type: str, kind: int
) -> None:
    with context.socket(kind) as taker:
        if kind == zmq.SUB:
            taker.subscribe(b"")
        taker.bind(ANY_PORT)
        address = taker.last_endpoint.decode().replace("127.0.0.1", NAME)
        async with publishing(connect=address, type=type) as publisher:
            await until(lambda: publisher.status()["connected"])

            def has_come() -> bool:  # a PUB socket hears of the subscription some time later
                return publisher.try_deliver([PACKETS[0]]) and bool(taker.poll(10))

            await until(has_come)
            assert (await received(taker, 1))[0] == PACKETS[0]


async def test_a_push_socket_that_leaves_an_address_says_what_may_be_lost(
    context: Any, names: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(zmq_dialling, "_KEEP_S", 0.0)
    with context.socket(zmq.PULL) as first:
        first.bind(ANY_PORT)
        port = first.last_endpoint.decode().rpartition(":")[2]
        async with publishing(connect=f"tcp://{NAME}:{port}", type="PUSH", high_water_mark=7) as publisher:
            await until(lambda: publisher.status()["connected"])
            first.close(0)
            await until(lambda: "is lost; trying its other addresses" in caplog.text)
            assert f"tcp://127.0.0.1:{port} does not come back: what waited there for tcp://{NAME}" in caplog.text
            assert "at most 7 messages" in caplog.text
