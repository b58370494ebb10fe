"""ZMQPublisher with keys: only who has the right ones is served, and who has not is told why."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth

from rawdaq.config.curve import CurveSettings
from rawdaq.config.options import read_options
from rawdaq.publishers.zmq_any import ZMQPublisher
from rawdaq.receivers.zmq_in import ZMQReceiver
from tests.helpers import until
from tests.makers import packet
from tests.publishers.zmq_any.taking import (
    ANY_PORT,
    PACKETS,
    connected,
    peers,
    publishing,
    received,
    refusal,
    subscribed,
)
from tests.receivers.zmq_senders import STATION, Keeper
from tests.servers import serving


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


def test_key_files_are_found_from_the_folder_of_the_station_file() -> None:
    options = read_options(ZMQPublisher, {"bind": ANY_PORT, "curve": {"key": "keys/a", "clients": "/b"}}, Path("/etc"))[
        0
    ]
    assert options["curve"] == CurveSettings(key=Path("/etc/keys/a"), clients=Path("/b"))
