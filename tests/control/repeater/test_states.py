"""Every request in every state, with the statuses of ours and of the original; the states are true from outside."""

import json
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import zmq

from rawdaq.publishers.repeater import RepeaterPublisher
from tests.control.repeater.repeaters import (
    WRITER,
    Client,
    can_be_bound,
    config,
    file_content,
    good,
    send,
    served,
    source,
    taken,
    taking,
)
from tests.helpers import until

INITIALIZED, RUNNING, ERROR, STOPPED = ["INITIALIZED", 0], ["RUNNING", 1], ["ERROR", 2], ["STOPPED", 3]


async def stopped(client: Client) -> None:
    await client.done("/set_config_from_dict", good())
    await client.done("/start")
    await client.done("/stop")


async def initialized(client: Client) -> None:
    await client.done("/set_config_from_dict", good())


async def running(client: Client) -> None:
    await initialized(client)
    await client.done("/start")


async def failed(client: Client) -> None:
    await initialized(client)
    await client.post("/set_config_from_dict", {"io_threads": 0})


REACH: dict[str, Callable[[Client], Coroutine[Any, Any, None]]] = {
    "STOPPED": stopped,
    "INITIALIZED": initialized,
    "RUNNING": running,
    "ERROR": failed,
}
NOT_NOW, WRONG = 409, 422
#: The request, its body, and in each state the status and the state after it.
TABLE: list[tuple[str, Any, dict[str, tuple[int, list[Any]]]]] = [
    (
        "/initialize",
        None,
        {
            "STOPPED": (200, INITIALIZED),
            "INITIALIZED": (200, INITIALIZED),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (200, INITIALIZED),
        },
    ),
    (
        "/set_config_from_dict",
        {"buffer_size": 7},
        {
            "STOPPED": (200, INITIALIZED),
            "INITIALIZED": (200, INITIALIZED),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (200, INITIALIZED),
        },
    ),
    (
        "/set_config_from_dict",
        {"buffer_size": 0},
        {
            "STOPPED": (WRONG, ERROR),
            "INITIALIZED": (WRONG, ERROR),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (WRONG, ERROR),
        },
    ),
    (
        "/set_config_from_file",
        {"config_file": "beam.json"},
        {
            "STOPPED": (200, INITIALIZED),
            "INITIALIZED": (200, INITIALIZED),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (200, INITIALIZED),
        },
    ),
    (
        "/set_config_from_file",
        {"config_file": "absent.json"},
        {
            "STOPPED": (WRONG, ERROR),
            "INITIALIZED": (WRONG, ERROR),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (WRONG, ERROR),
        },
    ),
    (
        "/set_writer_config",
        WRITER,
        {
            "STOPPED": (NOT_NOW, STOPPED),
            "INITIALIZED": (NOT_NOW, INITIALIZED),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (NOT_NOW, ERROR),
        },
    ),
    (
        "/start",
        None,
        {
            "STOPPED": (NOT_NOW, STOPPED),
            "INITIALIZED": (200, RUNNING),
            "RUNNING": (NOT_NOW, RUNNING),
            "ERROR": (NOT_NOW, ERROR),
        },
    ),
    (
        "/stop",
        None,
        {
            "STOPPED": (NOT_NOW, STOPPED),
            "INITIALIZED": (NOT_NOW, INITIALIZED),
            "RUNNING": (200, STOPPED),
            "ERROR": (200, STOPPED),
        },
    ),
]
CASES = [(state, path, body, *after[state]) for path, body, after in TABLE for state in REACH]


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize(("state", "path", "body", "status", "after"), CASES)
async def test_each_request_in_each_state(
    state: str, path: str, body: Any, status: int, after: list[Any], compat: bool, tmp_path: Path
) -> None:
    (tmp_path / "beam.json").write_text(json.dumps(file_content()))
    async with served(tmp_path, compat=compat) as client:
        await REACH[state](client)
        before = (await client.get("/get_status"))["config"]
        response = await client.post(path, body)
        answer = response.json()
        assert response.status_code == (200 if compat else status)
        assert answer["response"] == ("success" if status == 200 else "error")
        assert answer["state"] == after
        assert ("error" in answer) == (status != 200)
        assert (await client.get("/get_state"))["state"] == after
        assert ("config" in answer) == (path == "/initialize" and status == 200)
        if status != 200:
            assert (await client.get("/get_status"))["config"] == before


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("state", REACH)
async def test_questions_are_answered_in_each_state(state: str, compat: bool) -> None:
    async with served(compat=compat) as client:
        await REACH[state](client)
        assert await client.get("/alive") == {"response": "success"}
        answer = await client.get("/get_state")
        assert answer["response"] == "success"
        assert answer["state"][0] == state
        assert ("error" in answer) == (state == "ERROR")
        status = await client.get("/get_status")
        assert status["state"] == answer["state"]
        assert set(status["config"]) >= {
            *("buffer_size", "config_changed", "config_file", "frame_block", "in_address", "in_zmq_mode"),
            *("io_threads", "n_output_streams", "send_output_mode", "send_output_param", "stream_names"),
            *("stream_ports", "writer_config", "zmq_modes"),
        }


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "status"),
    [
        ("GET", "/nothing", b"", "", 404),
        ("GET", "/start", b"", "", 405),
        ("POST", "/get_state", b"", "", 405),
        ("POST", "/set_config_from_dict", b"{", "application/json", 400),
        ("POST", "/set_config_from_dict", b"[]", "application/json; charset=utf-8", 400),
        ("POST", "/set_config_from_dict", b"{}", "text/plain", 415),
        ("POST", "/set_config_from_dict", b" " * ((1 << 20) + 1), "application/json", 413),
        ("POST", "/start", b" " * ((1 << 20) + 1), "application/json", 413),
    ],
)
async def test_what_is_no_request_is_refused_as_json_in_both_settings(
    method: str, path: str, content: bytes, kind: str, status: int, compat: bool
) -> None:
    async with served(compat=compat) as client:
        response = await client.http.request(method, path, content=content, headers={"Content-Type": kind})
        assert response.status_code == status
        assert (response.json()["response"], response.json()["state"]) == ("error", STOPPED)
        assert response.json()["error"]


async def test_a_fresh_repeater_is_stopped_and_says_what_is_missing() -> None:
    async with served() as client:
        assert (await client.get("/get_state"))["state"] == STOPPED
        answer = (await client.post("/initialize")).json()
        assert answer["state"] == ERROR
        assert "in_address is missing" in answer["error"]
        assert "there is no output" in answer["error"]


async def test_a_wrong_configuration_leaves_the_one_before_in_force() -> None:
    async with served() as client:
        await client.done("/set_config_from_dict", good())
        before = (await client.get("/get_status"))["config"]
        answer = (await client.post("/set_config_from_dict", {"io_threads": 4, "buffer_size": "x", "foo": 1})).json()
        assert answer["mistakes"] == [
            "buffer_size 'x' is not a whole number from 1 to 1000000",
            answer["mistakes"][1],
        ]
        assert answer["mistakes"][1].startswith("foo is not a key of the configuration")
        assert (await client.get("/get_status"))["config"] == before
        assert (await client.done("/initialize"))["state"] == INITIALIZED


async def test_unknown_keys_are_ignored_with_a_warning_as_the_original_does(caplog: pytest.LogCaptureFixture) -> None:
    async with served(compat=True) as client:
        await client.done("/set_config_from_dict", {**good(), "foo": 1})
    assert any("the key foo of a configuration is not known" in line for line in caplog.messages)


async def test_a_file_is_read_now_and_replaces_the_whole(tmp_path: Path) -> None:
    file = tmp_path / "beam.json"
    file.write_text(json.dumps(file_content()))
    async with served(tmp_path) as client:
        await client.done("/set_config_from_dict", good() | {"buffer_size": 9})
        assert (await client.get("/get_status"))["config"]["config_changed"] is True
        await client.done("/set_config_from_file", {"config_file": "beam.json"})
        shown = (await client.get("/get_status"))["config"]
        assert (shown["buffer_size"], shown["config_changed"], shown["config_file"]) == (5000, False, "beam.json")
        assert (shown["n_output_streams"], shown["stream_names"]) == (1, ["store"])
        file.write_text(json.dumps(file_content() | {"buffer_size": 77}))
        assert (await client.done("/initialize"))["config"]["buffer_size"] == 77
        await client.done("/set_config_from_dict", {"buffer_size": 5})
        file.write_text("{")
        assert (await client.done("/initialize"))["config"]["buffer_size"] == 5
        answer = (await client.post("/set_config_from_file", {"config_file": "beam.json"})).json()
        assert "beam.json, line 1, column 2: not JSON" in answer["error"]


async def test_writer_outputs_need_the_writer_configuration_for_each_run(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        described = config("tcp://127.0.0.1:9", ("std-det-writer", "send_every_nth", 1))
        answer = await client.done("/set_config_from_dict", described)
        assert (answer["state"], answer["missing"]) == (STOPPED, ["writer_config"])
        wrong = await client.post("/set_writer_config", {key: WRITER[key] for key in ("output_file", "run_id")})
        assert (wrong.status_code, wrong.json()["mistakes"]) == (
            422,
            ["detector_name is missing", "n_images is missing"],
        )
        for path in "/set_writer_config", "/set_writer_config_rest":
            assert (await client.done(path, WRITER))["state"] == INITIALIZED
            assert (await client.get("/get_status"))["config"]["writer_config"] == WRITER
            await client.done("/start")
            await client.done("/stop")
            assert (await client.get("/get_status"))["config"]["writer_config"] == {}
            answer = await client.done("/initialize")
            assert (answer["state"], answer["missing"]) == (STOPPED, ["writer_config"])


async def test_the_original_takes_further_keys_for_the_writer() -> None:
    async with served(compat=True) as client:
        await client.done("/set_config_from_dict", config("tcp://a:1", ("std-det-writer", "strides", 1)))
        assert (await client.done("/set_writer_config", WRITER | {"colour": 1}))["state"] == INITIALIZED


async def test_a_port_in_use_fails_the_start_and_it_can_be_tried_again() -> None:
    async with served() as client:
        await client.done("/set_config_from_dict", good())
        await client.done("/start")
        shown = await client.outputs()
        port = int(shown["store"]["address"].rpartition(":")[2])
        async with served() as other:
            await other.done("/set_config_from_dict", good() | {"stream_ports": [0, port]})
            response = await other.post("/start")
            assert (response.status_code, response.json()["state"]) == (503, ERROR)
            assert "another program uses it" in response.json()["error"]
            await client.done("/stop")
            await other.done("/initialize")
            await other.done("/start")
            assert (await other.get("/get_state"))["state"] == RUNNING


async def test_a_worker_that_dies_makes_the_state_error_with_its_reason(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("a bug of the test")

    with source(context) as (sender, address):
        async with served() as client:
            await client.done("/set_config_from_dict", good(address))
            await client.done("/start")
            ports = [int(each["address"].rpartition(":")[2]) for each in (await client.outputs()).values()]
            monkeypatch.setattr(RepeaterPublisher, "try_deliver", fail)
            send(sender, 0)
            await until(lambda: client.machine.state.name == "ERROR")
            answer = await client.get("/get_state")
            assert "a bug of the test" in answer["error"]
            await until(lambda: all(map(can_be_bound, ports)))
            monkeypatch.undo()
            await client.done("/stop")
            await client.done("/initialize")
            await client.done("/start")


def _held() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


async def test_twenty_runs_deliver_every_frame_and_leave_nothing(context: Any) -> None:
    with source(context) as (sender, address):
        async with served() as client:
            await client.done("/set_config_from_dict", good(address))
            before = _held()
            for _ in range(20):
                await client.done("/initialize")
                await client.done("/start")
                shown = await client.outputs()
                with (
                    taking(context, shown["store"]["address"]) as store,
                    taking(context, shown["preview"]["address"]) as preview,
                ):
                    send(sender, *range(100))
                    assert await taken(store, 100) == list(range(100))
                    assert await taken(preview, 50) == [number for number in range(100) if number // 2 % 2 == 0]
                    counters = (await client.get("/get_status"))["counters"]
                    await client.done("/stop")
                assert counters["input"]["received"] == counters["input"]["accepted"] == 100
                ports = [int(each["address"].rpartition(":")[2]) for each in shown.values()]
                assert all(map(can_be_bound, ports))
                assert (await client.get("/get_status"))["counters"]["input"]["received"] == 100
                await until(lambda: _held() <= before)  # libzmq closes the test's own sockets a little later


async def test_what_waits_at_a_stop_is_delivered_or_counted(context: Any) -> None:
    with source(context) as (sender, address):
        async with served() as client:
            await client.done("/set_config_from_dict", good(address) | {"stop_timeout_s": 30})
            await client.done("/start")
            send(sender, *range(100))
            shown = await client.outputs()
            with taking(context, shown["store"]["address"]) as store:
                assert await taken(store, 100) == list(range(100))
                await client.done("/stop")
            shown = await client.outputs()
            assert (shown["store"]["sent"], shown["store"]["discarded_at_stop"]) == (100, 0)
            assert (shown["preview"]["sent"], shown["preview"]["discarded_at_stop"]) == (0, 50)


@pytest.mark.parametrize("mode", ["PULL", "SUB"])
async def test_both_kinds_of_source(context: Any, mode: str) -> None:
    with source(context, zmq.PUSH if mode == "PULL" else zmq.XPUB) as (sender, address):
        async with served() as client:
            await client.done("/set_config_from_dict", good(address) | {"in_zmq_mode": mode.lower()})
            await client.done("/start")
            if mode == "SUB":
                await until(lambda: sender.poll(0))
                sender.recv()
            with taking(context, (await client.outputs())["store"]["address"]) as store:
                send(sender, 1, 2, 3)
                assert await taken(store, 3) == [1, 2, 3]
            assert (await client.get("/get_status"))["counters"]["input"]["connected"] is True


async def test_an_output_that_blocks_holds_the_source_and_the_status_says_which(context: Any) -> None:
    with source(context) as (sender, address):
        async with served() as client:
            described = config(address, ("store", "send_every_nth", 1), overflow=["block"], buffer_size=10)
            await client.done("/set_config_from_dict", described)
            await client.done("/start")
            send(sender, *range(3000))
            held: list[str] = await until(lambda: client.counters()["input"]["held"])
            assert any("store" in reason for reason in held)
            with taking(context, (await client.outputs())["store"]["address"]) as store:
                assert await taken(store, 3000) == list(range(3000))
            shown = (await client.outputs())["store"]
            assert (shown["dropped"], shown["selected"]) == (0, 3000)


async def test_malformed_frames_are_counted_and_everything_else_goes_on(context: Any) -> None:
    with source(context) as (sender, address):
        async with served() as client:
            await client.done("/set_config_from_dict", good(address))
            await client.done("/start")
            for wrong in [b"{", b"{}", b"\xff", b"[]"]:
                sender.send_multipart([wrong, b"data"])
            sender.send_multipart([b'{"frame":0}', *[b"part"] * 99])
            sender.send_multipart([b'{"frame":1}'])
            with taking(context, (await client.outputs())["store"]["address"]) as store:
                assert await taken(store, 2) == [0, 1]
            counters = (await client.get("/get_status"))["counters"]
            assert counters["input"]["refused_by_reason"] == {"unreadable header": 3, "no frame number": 1}
            assert (counters["input"]["received"], counters["input"]["accepted"]) == (6, 2)
            for output in counters["outputs"].values():
                assert output["selected"] + output["skipped"] == 2


async def test_everything_listens_on_loopback_alone_unless_it_is_opened() -> None:
    async with served() as client:
        for ip, expected in (None, "127.0.0.1"), ("0.0.0.0", "0.0.0.0"):
            await client.done("/set_config_from_dict", good() | ({} if ip is None else {"out_ip": ip}))
            await client.done("/start")
            assert all(f"//{expected}:" in each["address"] for each in (await client.outputs()).values())
            await client.done("/stop")


async def test_without_a_consumer_what_waits_is_bounded_and_everything_is_counted(context: Any) -> None:
    with source(context) as (sender, address):
        async with served() as client:
            await client.done("/set_config_from_dict", good(address) | {"buffer_mb": 4})
            await client.done("/start")
            send(sender, *range(60), data=bytes(1_000_000))
            await until(lambda: client.counters()["input"]["received"] == 60)
            shown = client.counters()["outputs"]
            for output in shown.values():
                assert output["waiting_mb"] <= 2
                assert output["selected"] == output["waiting"] + output["dropped"]
                assert output["selected"] + output["skipped"] == 60
            await client.done("/stop")
            assert [output["waiting"] for output in client.counters()["outputs"].values()] == [0, 0]
