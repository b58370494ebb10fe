"""TelemetryReceiver asks files, commands, web servers and databases, and never makes a value up."""

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rawdaq.receivers.telemetry import TelemetryReceiver
from rawdaq.receivers.telemetry import receiver as receiver_module
from rawdaq.times import NS_PER_S
from tests.event_receivers import STATION, EventKeeper, options_of, receiving, serving
from tests.helpers import DEADLINE_S, until
from tests.postgres import PASSWORD, PostgresServer

VALUES: dict[str, Any] = {"temperature": {"path": "$.t", "unit": "degC", "stream": "SOH.LKI", "scale": 100}}
FAST: dict[str, Any] = {"every_s": 0.05}
SHORT_S = 0.05  # a deadline that is to be missed


def telemetry(source: dict[str, Any], **options: Any) -> Any:
    """Run a receiver; no answer is late on a busy machine, unless the test says how long it may take."""
    merged = {"values": VALUES, **FAST, **options}
    return receiving(TelemetryReceiver, source={"timeout_s": DEADLINE_S, **source}, **merged)


class Web:
    """A web server that answers as it is told.

    Attributes:
        answers: body and status by path; a number of seconds instead is waited before the answer.
        asked: path and authorization of each request.
    """

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.redirections: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.is_slow = threading.Event()
        self.goes_on = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Authorization")))
                if web.is_slow.is_set():
                    web.goes_on.wait(30)
                if self.path in web.redirections:
                    self.send_response(302)
                    self.send_header("Location", web.redirections[self.path])
                    self.end_headers()
                    return
                status, body = web.answers.get(self.path, (404, b"no such page"))
                self.send_response(status)
                self.end_headers()
                with contextlib.suppress(OSError):  # the client has gone
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.goes_on.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "_GRACE_S", 0.05)


@pytest.fixture
def no_poll_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the test polls: a poll of the receiver's own is due at a round time, whenever the test runs."""

    async def never(_: TelemetryReceiver) -> int:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody sets its result")

    monkeypatch.setattr(TelemetryReceiver, "_next_time", never)


def values_of(keeper: EventKeeper) -> list[Any]:
    return [each["values"] for each in keeper.headers]


# ------------------------------------------------------------------------------------------------- files, commands


async def test_a_value_is_a_message_and_a_waveform(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text('{"t": 21.507, "other": [1]}')
    async with telemetry({"file": str(file)}, name="Housekeeping") as (receiver, keeper):
        await until(lambda: len(keeper.packets) >= 3)
        status = receiver.receiver_status()
    message, packet = keeper.messages[0], keeper.packets[0]
    assert message.topic == "~telemetry.XX.DEMO.Housekeeping"
    assert keeper.headers[0]["values"] == {"temperature": 21.507}
    assert keeper.headers[0]["units"] == {"temperature": "degC"}
    assert keeper.headers[0]["time_ns"] == packet.start_ns
    assert packet.start_ns % 50_000_000 == 0
    assert (str(packet.stream), packet.rate_hz) == ("XX.DEMO.SOH.LKI", 20.0)
    assert (packet.samples.tolist(), packet.sample_type) == ([2151], "int32")
    assert all((after.start_ns - packet.start_ns) % 50_000_000 == 0 for after in keeper.packets)
    assert status["answered"] >= 3
    assert status["newest"]["values"] == {"temperature": 21.507}


async def test_without_values_an_answer_is_published_whole(tmp_path: Path) -> None:
    file = tmp_path / "temp"
    file.write_text("45123\n")
    async with telemetry({"file": str(file)}, values={}) as (_, keeper):
        await until(lambda: keeper.messages)
        file.write_text('{"a": [1, {"b": null}], "c": NaN}')
        await until(lambda: "a" in keeper.headers[-1]["values"])
    assert values_of(keeper)[0] == {"value": 45123}
    assert values_of(keeper)[-1] == {"a": [1, {"b": None}], "c": None}


@pytest.mark.usefixtures("no_poll_is_due")
async def test_a_command_is_run_and_its_text_searched() -> None:
    source = {"command": ["sh", "-c", 'echo "temp=42.8\'C volt=low"']}
    values = {"temp": {"expression": "temp=([0-9.]+)", "stream": "LKI"}, "volt": {"expression": "volt=(.*)"}}
    async with telemetry(source, values=values, every_s=5) as (receiver, keeper):
        await receiver._poll(receiver._source, _Now(), 10 * NS_PER_S)
        await until(lambda: keeper.packets)
    assert values_of(keeper) == [{"temp": 42.8, "volt": "low"}]
    assert keeper.packets[0].samples.tolist() == pytest.approx([42.8])
    assert (keeper.packets[0].sample_type, keeper.packets[0].rate_hz) == ("float32", 0.2)


class _Now:
    """A thread that makes calls at once."""

    calls_done = 0

    def submit(self, function: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.mark.usefixtures("no_poll_is_due")
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"command": ["sh", "-c", "echo broken sensor >&2; exit 3"]}, "sh ends with 3: broken sensor"),
        ({"command": ["false"]}, "false ends with 1: it printed no reason"),
        ({"command": ["/no/such/program"]}, "/no/such/program cannot be run: No such file or directory"),
        ({"command": ["yes"]}, "an answer of more than 1048576 bytes"),
        ({"command": ["echo", "21 degrees"]}, "the answer is not JSON"),
        ({"file": "/no/such/file"}, "/no/such/file cannot be read: No such file or directory"),
        ({"http": "http://127.0.0.1:1/"}, "http://127.0.0.1:1/: Connection refused"),
        ({"sql": "sqlite:////no/such/file", "query": "SELECT 1"}, "unable to open database file"),
    ],
)
async def test_a_source_that_fails_is_told_once_and_nothing_is_published(
    source: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with telemetry(source) as (receiver, keeper):
        thread = _Now()
        for number in range(3):
            thread.calls_done = number + 100
            await receiver._poll(receiver._source, thread, NS_PER_S)
        status = receiver.receiver_status()
    assert keeper.messages == keeper.packets == []
    assert reason in status["last_failure"]
    assert status["failed"] == 3
    assert [message for message in caplog.messages if "no telemetry" in message] == [
        f"no telemetry: {status['last_failure']}"
    ]


async def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    source = {"command": ["sh", "-c", f"sleep 100 & echo $! >> {started}; wait"]}
    async with telemetry(source | {"timeout_s": SHORT_S}) as (receiver, _):
        await until(lambda: receiver.receiver_status()["late"] >= 2 and started.exists())
    await until(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in started.read_text().split()))


@pytest.mark.usefixtures("no_poll_is_due")
async def test_a_value_that_is_not_there_is_null_and_a_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "status.json"
    file.write_text('{"t": 1}')
    bad = ['{"u": 1}', '{"t": [1]}', '{"t": "warm"}', '{"t": 1e300}', '{"t": Infinity}', f'{{"t": {10**400}}}']
    async with telemetry({"file": str(file)}, every_s=60, values=VALUES) as (receiver, keeper):
        for number, text in enumerate(['{"t": 1}', *bad, '{"t": true}', '{"t": "2.5"}']):
            file.write_text(text)
            thread = _Now()
            thread.calls_done = number + 1
            await receiver._poll(receiver._source, thread, number * 60 * NS_PER_S)
        await receiver.delivered()
        status = receiver.receiver_status()
    assert values_of(keeper) == [{"temperature": each} for each in (1, None, None, "warm", 1e300, None, 10**400, True,
                                                                    "2.5")]  # fmt: skip
    assert [(each.start_ns // (60 * NS_PER_S), each.samples.tolist()) for each in keeper.packets] == [
        (0, [100]),
        (7, [100]),
        (8, [250]),
    ]
    assert status["missing"] == {"temperature": 6}
    assert [message.partition(":")[0] for message in caplog.messages if "value of" in message] == [
        "no value of temperature",
        "the value of temperature is there again",
    ]


# -------------------------------------------------------------------------------------------------------------- HTTP


async def test_a_web_server_is_asked_with_a_token_that_it_alone_gets(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Web()
    try:
        web.answers["/status.json"] = (200, b'{"t": 5}')
        web.redirections["/moved"] = f"{other.url}/status.json"
        other.answers["/status.json"] = (200, b'{"t": 6}')
        monkeypatch.setenv("STATION_TOKEN", "s3cret")
        source = {"http": f"{web.url}/status.json", "secret_env": "STATION_TOKEN"}
        async with telemetry(source) as (_, keeper):
            await until(lambda: keeper.messages)
        secret = tmp_path / "secret"
        secret.write_text("pass\n")
        secret.chmod(0o600)
        source = {"http": f"{web.url}/moved", "user": "me", "secret_file": str(secret)}
        async with telemetry(source) as (_, moved):
            await until(lambda: moved.messages)
    finally:
        other.close()
    assert values_of(keeper)[0] == {"temperature": 5}
    assert values_of(moved)[0] == {"temperature": 6}
    assert web.asked[0] == ("/status.json", "Bearer s3cret")
    assert web.asked[-1] == ("/moved", "Basic bWU6cGFzcw==")
    assert {authorization for _, authorization in other.asked} == {None}


async def test_a_web_server_that_is_slow_fails_and_comes_back(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    source = {"http": f"{web.url}/t"}
    async with telemetry(source) as (receiver, keeper):
        await until(lambda: receiver.receiver_status()["failed"] >= 2)
        assert receiver.receiver_status()["last_failure"] == f"{web.url}/t answers 404 Not Found"
        receiver._source.timeout_s, polls = SHORT_S, receiver.receiver_status()["polls"]
        await until(lambda: receiver.receiver_status()["polls"] > polls + 1)  # the poll that ran has ended, too
        web.is_slow.set()
        late = receiver.receiver_status()["late"]
        await until(lambda: receiver.receiver_status()["late"] >= late + 2)
        assert keeper.messages == []
        receiver._source.timeout_s = DEADLINE_S
        web.answers["/t"] = (200, b'{"t": 7}')
        web.is_slow.clear()
        web.goes_on.set()
        await until(lambda: keeper.messages)
        assert receiver.receiver_status()["last_failure"] is None
    told = [message for message in caplog.messages if "telemetry" in message]
    assert told[0] == f"no telemetry: {web.url}/t answers 404 Not Found"
    assert told[1].startswith("telemetry is there again after")
    assert len(told) == 2


async def test_a_redirection_reads_no_file_of_this_machine(web: Web) -> None:
    web.redirections["/t"] = "file:///etc/passwd"
    async with telemetry({"http": f"{web.url}/t"}) as (receiver, keeper):
        await until(lambda: receiver.receiver_status()["failed"])
    assert keeper.messages == []


# --------------------------------------------------------------------------------------------------------- databases


@pytest.fixture
def database(tmp_path: Path) -> Generator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(tmp_path / "station.db")) as made:
        made.execute("CREATE TABLE soh (t REAL, n INTEGER, note TEXT)")
        made.execute("INSERT INTO soh VALUES (20.5, 3, 'good')")
        made.commit()
        yield made


async def test_sqlite_is_read_and_never_written(database: sqlite3.Connection, tmp_path: Path) -> None:
    source = {"sql": f"sqlite:///{tmp_path}/station.db", "query": "SELECT * FROM soh ORDER BY n DESC"}
    async with telemetry(source, values={}) as (receiver, keeper):
        await until(lambda: keeper.messages)
        database.execute("INSERT INTO soh VALUES (21.5, 4, NULL)")
        database.commit()
        await until(lambda: keeper.headers[-1]["values"]["n"] == 4)
        database.execute("DELETE FROM soh")
        database.commit()
        await until(lambda: receiver.receiver_status()["last_failure"] == "the query found no row")
    assert values_of(keeper)[0] == {"t": 20.5, "n": 3, "note": "good"}
    assert values_of(keeper)[-1] == {"t": 21.5, "n": 4, "note": None}
    source["query"] = "INSERT INTO soh VALUES (1, 1, 'x') RETURNING t"
    async with telemetry(source, values={}) as (receiver, _):
        await until(lambda: receiver.receiver_status()["failed"])
        assert receiver.receiver_status()["last_failure"] == "attempt to write a readonly database"


async def test_postgresql_goes_away_and_comes_back(tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        server.start()
        server.execute("CREATE TABLE soh (t NUMERIC, at TIMESTAMPTZ)", "INSERT INTO soh VALUES (20.25, '2026-11-29Z')")
        secret = tmp_path / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        source = {"sql": server.url, "query": "SELECT t, at, pg_sleep(0) FROM soh", "secret_file": str(secret)}
        async with telemetry(source, values=VALUES | {"at": {}}, every_s=0.1) as (receiver, keeper):
            await until(lambda: keeper.packets)
            await asyncio.get_running_loop().run_in_executor(None, server.stop)
            await until(lambda: receiver.receiver_status()["last_failure"])
            count = len(keeper.messages)
            await asyncio.get_running_loop().run_in_executor(None, server.start)
            await until(lambda: len(keeper.messages) > count)
        assert values_of(keeper)[0] == {"temperature": 20.25, "at": "2026-11-29T00:00:00+00:00"}
        assert keeper.packets[0].samples.tolist() == [2025]
        slow = {**source, "timeout_s": SHORT_S, "query": "SELECT pg_sleep(30), 1 AS t"}
        async with telemetry(slow) as (receiver, keeper):
            await until(lambda: "statement timeout" in str(receiver.receiver_status()["last_failure"]))
        assert keeper.messages == []
        secret.write_text("wrong")
        async with telemetry(source, every_s=0.1) as (receiver, keeper):
            await until(lambda: "password authentication failed" in str(receiver.receiver_status()["last_failure"]))
            assert "wrong" not in json.dumps(receiver.receiver_status())
    finally:
        server.remove()


# ------------------------------------------------------------------------------------------------------ what hangs


class Hanging(TelemetryReceiver):
    """Its source does not answer, nor keep its deadline, before it is let go."""

    def __init__(self, keeper: EventKeeper, file: Path) -> None:
        options = options_of(TelemetryReceiver, source={"file": str(file), "timeout_s": 0.02}, every_s=0.02)
        super().__init__([keeper], STATION, **options)
        self.let_go = threading.Event()

    async def ct_hang(self) -> None:
        def ask() -> bytes:
            self.let_go.wait(DEADLINE_S)
            return b'{"t": 1}'

        assert self._source is not None
        self._source.ask = ask  # type: ignore[method-assign]


async def test_a_source_that_hangs_keeps_the_loop_free_and_polls_are_counted(tmp_path: Path) -> None:
    receiver = Hanging(keeper := EventKeeper(), tmp_path / "x")
    latest_s = 0.0
    async with serving(receiver):
        while receiver._counts["skipped"] < 3:
            began_s = time.monotonic()
            await asyncio.sleep(0.001)
            latest_s = max(latest_s, time.monotonic() - began_s)
        assert receiver._source is not None
        receiver._source.timeout_s = DEADLINE_S  # from now on none is late
        receiver.let_go.set()
        await until(lambda: keeper.messages)
    assert latest_s < DEADLINE_S / 3  # other components of the process run on meanwhile: nobody waits for the source
    assert receiver.receiver_status()["late"] == 1
