"""What ZMQPublisher refuses: options that cannot be, and addresses that it cannot use."""

import socket
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.errors import InvalidValue
from rawdaq.publishers.zmq_any import ZMQPublisher
from tests.helpers import ROOT
from tests.publishers.zmq_any.taking import ANY_PORT, publishing, refusal


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


def test_the_address_that_it_binds_is_for_it_alone() -> None:
    def exclusive(**options: Any) -> str | None:
        return ZMQPublisher.exclusive(read_options(ZMQPublisher, options, ROOT)[0])

    assert exclusive(bind="tcp://*:9007") == "tcp://0.0.0.0:9007"
    assert exclusive(bind="ipc:///run/live") == "ipc:///run/live"
    assert exclusive(bind=ANY_PORT) is exclusive(connect="tcp://127.0.0.1:9007") is None
