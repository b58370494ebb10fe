"""The command line, as users of the original know it, and a station file with the same outputs."""

import json
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import zmq
from click.testing import CliRunner

from rawdaq.control.processes import children
from rawdaq.control.repeater import command
from tests import forks
from tests.control.repeater.repeaters import WRITER, file_content, send, source
from tests.forks import run_cli
from tests.helpers import start_cli, wait_for


def changes(*args: str) -> dict[str, Any]:
    """Return what a command line says of the configuration."""
    found: list[dict[str, Any]] = []

    @click.command(cls=type(command.repeater), params=command.repeater.params)
    def spy(config_file: str | None, **options: Any) -> None:
        found.append(command._changes(config_file, options))

    result = CliRunner().invoke(spy, list(args))
    if result.exit_code:
        raise click.UsageError(result.output)
    return found[0]


SOURCE = ("--in-address", "tcp://localhost:9609")


def test_the_example_of_the_original_means_what_it_meant() -> None:
    assert changes(*SOURCE, "--out-init-port", "9700", "--n-outputs", "3", "--send-every-nth", "1", "2", "10") == {
        "in_address": "tcp://localhost:9609",
        "send_output_mode": ["send_every_nth"] * 3,
        "send_output_param": [1, 2, 10],
        "zmq_modes": ["PUSH", "PUB", "PUB"],
        "stream_ports": [9700, 9701, 9702],
    }


def test_the_later_form_says_mode_and_parameter_of_each_output() -> None:
    given = changes(
        *SOURCE,
        *("--send-output-mode", "strides", "send_every_sec", "--send-output-param", "5", "0.5"),
        *("--out-zmq-mode", "PUB", "PUSH", "--io-threads", "2", "--buffer-size", "100", "--mode-metadata", "gf"),
    )
    assert given["send_output_param"] == [5, 0.5]
    assert given["zmq_modes"] == ["PUB", "PUSH"]
    assert (given["io_threads"], given["buffer_size"], given["mode_metadata"]) == (2, 100, "gf")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--send-every-nth", "1"], "--in-address is missing"),
        ([*SOURCE, "--send-every-nth", "1", "--send-output-mode", "strides"], "leave out --send-output-mode"),
        ([*SOURCE, "--n-outputs", "2", "--send-every-nth", "1"], "--n-output-streams 2, but 1 outputs"),
    ],
)
def test_options_that_do_not_go_together_are_refused(args: list[str], text: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(text)):
        changes(*args)


def test_without_options_nothing_is_said() -> None:
    assert changes() == {}


@contextmanager
def running(*args: str) -> Generator[forks.Process]:
    with forks.start_cli(["control-rawdaq", "repeater", *args]) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


@contextmanager
def interpreting(*args: str) -> Generator["subprocess.Popen[str]"]:
    """Do what `running` does, with an interpreter of its own."""
    with start_cli(["control-rawdaq", "repeater", *args]) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def logged(process: "subprocess.Popen[str] | forks.Process", pattern: str) -> re.Match[str]:
    """Return the first match in the lines that come."""
    assert process.stderr is not None
    for line in process.stderr:
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"ended without {pattern}")


def test_a_repeater_is_driven_from_outside_with_a_token(context: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    with source(context) as (sender, address):
        (tmp_path / "beam.json").write_text(json.dumps(file_content(address)))
        options = ["--config-file", str(tmp_path / "beam.json"), "--port", "0", "--token-file", str(token)]
        with interpreting(*options) as process:
            url = logged(process, r"serving REST on (\S+)")[1]
            assert httpx.get(f"{url}/get_state").status_code == 401
            with httpx.Client(base_url=url, headers={"Authorization": "Bearer secret"}) as http:
                assert http.get("/get_state").json()["state"] == ["STOPPED", 3]
                assert http.post("/initialize").json()["state"] == ["INITIALIZED", 0]
                assert http.post("/start").json()["state"] == ["RUNNING", 1]
                send(sender, 1, 2)
                wait_for(lambda: http.get("/get_status").json()["counters"]["input"]["received"] == 2)
        assert process.returncode == 0


def test_a_wrong_file_is_error_and_its_reason_is_served(tmp_path: Path) -> None:
    (tmp_path / "beam.json").write_text("{")
    with running(
        "--config_file", str(tmp_path / "beam.json"), "--port", "0", "--host", "0.0.0.0", "--compat"
    ) as process:
        assert logged(process, "any program that reaches 0.0.0.0 can start and stop")
        url = logged(process, r"serving REST on (\S+)")[1].replace("0.0.0.0", "127.0.0.1")
        answer = httpx.get(f"{url}/get_state").json()
        assert (answer["state"], "not JSON" in answer["error"]) == (["ERROR", 2], True)


def test_without_rest_it_starts_at_once_and_runs_until_a_signal(context: Any, tmp_path: Path) -> None:
    with source(context) as (sender, address):
        options = ["--no-rest", "--in-address", address, "--send-every-nth", "1", "--out-init-port", "1"]
        done = run_cli(["control-rawdaq", "repeater", *options[:-2], "--config-file", "absent.json"], cwd=tmp_path)
        assert (done.returncode, "there is no such file" in done.stderr) == (2, True)
        (tmp_path / "beam.json").write_text(json.dumps(file_content(address)))
        with running("--no-rest", "--config-file", str(tmp_path / "beam.json")) as process:
            output = logged(process, r"consumers that connect to (\S+)")[1]
            with context.socket(zmq.PULL) as taker:
                taker.linger = 0
                taker.connect(output)
                send(sender, 7)
                wait_for(lambda: taker.poll(0))
                assert json.loads(taker.recv_multipart()[0]) == {"frame": 7}
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("mode", "content", "text"),
    [
        (0o644, "secret", "can be read by others; run: chmod 600"),
        (0o600, " \n", "is empty"),
        (0o600, None, "No such file"),
    ],
)
def test_a_token_file_must_be_ours_alone(mode: int, content: str | None, text: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
        token.chmod(mode)
    done = run_cli(["control-rawdaq", "repeater", "--token-file", str(token)])
    assert (done.returncode, text in done.stderr) == (2, True)


def test_without_rest_a_writer_output_cannot_run(tmp_path: Path) -> None:
    content = file_content()
    content["out-streams"] = {"std-det-writer": content["out-streams"]["store"]}
    (tmp_path / "beam.json").write_text(json.dumps(content))
    done = run_cli(["control-rawdaq", "repeater", "--no-rest", "--config-file", "beam.json"], cwd=tmp_path)
    assert (done.returncode, "leave out --no-rest" in done.stderr) == (2, True)


STATION = """
station: {{network: XX, code: BEAM}}
Repeater:
  Receiver: {{class: ZMQReceiver, endpoints: ["{address}"], pattern: pull, frames: true}}
  Publishers:
    store: {{class: RepeaterPublisher, zmq_mode: PUSH, port: 0, send_output_mode: send_every_nth, send_output_param: 1,
      overflow: block, buffer_size: 10}}
    std-det-writer: {{class: RepeaterPublisher, zmq_mode: 8, port: 0, send_output_mode: strides, send_output_param: 2}}
"""


def test_the_same_outputs_in_a_station_file_run_like_any_component(
    context: Any, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "spawn", forks.spawn)
    with source(context) as (sender, address):
        file = tmp_path / "station.yaml"
        file.write_text(STATION.format(address=address))
        assert run_cli(["control-rawdaq", "check", str(file)]).returncode == 0
        words = [f"{key}={value}" for key, value in WRITER.items()]
        try:
            done = run_cli(["control-rawdaq", "start", "all", "-c", str(file)])
            assert done.returncode == 0, done.stderr
            done = run_cli(["control-rawdaq", "send", "Repeater", "std-det-writer.writer", *words, "-c", str(file)])
            assert done.returncode == 0, done.stderr
            shown = status(file)
            assert shown["publishers"]["store"]["policy"] == "block"
            with context.socket(zmq.PULL) as store, context.socket(zmq.PULL) as writer:
                for taker, name in (store, "store"), (writer, "std-det-writer"):
                    taker.linger, taker.rcvtimeo = 0, 30_000
                    taker.connect(shown["publishers"][name]["address"])
                send(sender, *range(1000))
                numbers = [json.loads(store.recv_multipart()[0])["frame"] for _ in range(1000)]
                headers = [json.loads(writer.recv_multipart()[0]) for _ in range(500)]
            assert numbers == list(range(1000))
            assert [header["i_image"] for header in headers] == list(range(500))
            shown = status(file)
            assert shown["receiver"]["received"] == 1000
            assert shown["publishers"]["store"]["sent"] == 1000
        finally:
            assert run_cli(["control-rawdaq", "stop", "all", "-c", str(file)]).returncode == 0


def status(file: Path) -> Any:
    done = run_cli(["control-rawdaq", "send", "Repeater", "status", "--json", "-c", str(file)])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_check_names_the_mistakes_of_outputs_in_a_station_file(tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    text = STATION.format(address="tcp://127.0.0.1:9609")
    file.write_text(text.replace("send_every_nth, send_output_param: 1", "send_every_nth, send_output_param: 0"))
    done = run_cli(["control-rawdaq", "check", str(file)])
    assert done.returncode == 2
    assert "send_output_param 0 is not a whole number of at least 1" in done.stderr
