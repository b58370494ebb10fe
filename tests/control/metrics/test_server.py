"""Scrapes over HTTP, and the command that answers them."""

import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rawdaq.control.metrics.server import MetricsServer, Scrapes
from rawdaq.control.status.asking import Asked
from rawdaq.errors import ComponentError
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.control.cli_words import Said

UP = 'rawdaq_component_up{component="XX.A.Raw"} 1.0'


class Machine:
    """Counts how often it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.error = error

    def __call__(self) -> Asked:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Asked([{"component": "XX.A.Raw", "state": "running"}], ["a mistake"])


@contextmanager
def serving(scrapes: Scrapes, host: str = "127.0.0.1") -> Generator[str]:
    """Serve; yield the address."""
    with MetricsServer(scrapes, host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def test_scrapes_that_come_together_ask_the_components_once() -> None:
    machine = Machine()
    with serving(Scrapes(machine)) as url:
        answers = [httpx.get(url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(UP in answer.text.splitlines() for answer in answers)
    assert answers[0].headers["content-type"].startswith("text/plain")
    assert "rawdaq_configuration_mistakes 1.0" in answers[0].text
    assert machine.asked == 1


def test_a_later_scrape_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    scrapes = Scrapes(machine)
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    scrapes.answer()
    now_s += 0.5
    scrapes.answer()
    assert machine.asked == 1
    now_s += 0.6
    scrapes.answer()
    assert machine.asked == 2


def test_other_paths_and_methods_are_refused_and_what_cannot_be_asked_is_told() -> None:
    with serving(Scrapes(Machine(ComponentError("no folder can be had")))) as url:
        other = httpx.get(url.replace("/metrics", "/"))
        posted = httpx.post(url)
        failed = httpx.get(url)
    assert (other.status_code, other.text) == (404, "metrics are at /metrics\n")
    assert posted.status_code == 405
    assert (failed.status_code, failed.text) == (503, "no folder can be had\n")


def test_head_has_no_body() -> None:
    with serving(Scrapes(Machine())) as url:
        answer = httpx.head(url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 100


def test_ipv6_is_listened_on() -> None:
    with serving(Scrapes(Machine()), "::1") as url:
        assert url.startswith("http://[::1]:")
        assert httpx.get(url).status_code == 200


def test_one_connection_too_many_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawdaq.control.metrics.server._AT_ONCE", 1)
    with serving(Scrapes(Machine())) as url:
        port = httpx.URL(url).port or 0
        with socket.create_connection(("127.0.0.1", port)) as first:
            first.sendall(b"GET ")
            with socket.create_connection(("127.0.0.1", port), 30) as second:
                assert second.recv(1) == b""
            first.sendall(b"/metrics HTTP/1.0\r\n\r\n")
            assert first.recv(12) == b"HTTP/1.0 200"


def test_a_port_that_is_taken_is_told_with_the_remedy() -> None:
    with (
        MetricsServer(Scrapes(Machine()), "127.0.0.1", 0) as server,
        pytest.raises(ComponentError, match=r"cannot listen on TCP 127.0.0.1:.*: stop it, or take another port"),
    ):
        MetricsServer(Scrapes(Machine()), "127.0.0.1", server.server_port)


def test_the_command_serves_until_it_is_stopped(station: Path) -> None:
    with forks.start_cli(["control-rawdaq", "metrics", "--port", "0"]) as process:
        url = process.stdout.readline().split()[-1]
        text = httpx.get(url).text
        process.terminate()
        assert process.wait() == 0
    assert 'rawdaq_component_up{component="XX.OUT.Main"} 0.0' in text.splitlines()


def test_the_command_prints_once_or_writes_a_file(station: Path, said: Said, tmp_path: Path) -> None:
    assert said.run("start", "all")[0] == 0
    status, out, _ = said.run("metrics", "--once")
    assert status == 0
    (key,) = {line.split('"')[1] for line in out.splitlines() if line.startswith("rawdaq_component_up{")}
    assert f'rawdaq_component_up{{component="{key}"}} 1.0' in out.splitlines()
    file = tmp_path / "rawdaq.prom"
    assert said.run("metrics", "--output", str(file)) == (0, "", "")
    assert f'rawdaq_component_up{{component="{key}"}} 1.0' in file.read_text().splitlines()
    assert [path.name for path in tmp_path.glob(".*.part")] == []
    status, _, err = said.run("metrics", "--output", str(tmp_path / "missing" / "file"))
    assert (status, "cannot write" in err) == (1, True)


def test_without_prometheus_client_one_line_says_so(
    runtime: RuntimeFiles, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.exposition", None)
    status, _, err = said.run("metrics")
    assert status == 1
    assert err == "control-rawdaq: metrics need prometheus-client; install it: pip install 'rawdaq[metrics]'\n"
