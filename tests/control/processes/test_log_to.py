"""``Daemon: {log_to: HOST:PORT}`` sends the log of a component, also its last error, to a LogReceiver."""

from pathlib import Path

import pytest

from rawdaq.config.settings import split_address
from rawdaq.control.processes import groups
from rawdaq.control.processes.errors import StartFailed
from rawdaq.control.processes.start import start
from rawdaq.control.processes.stop import stop
from rawdaq.process.runtime_files import RuntimeFiles
from tests.config_classes import GOOD, problems_of, register
from tests.control.processes.components import named_component, pids, start_one, troubled
from tests.helpers import wait_for
from tests.log_takers import taking


def test_components_of_a_shared_process_send_each_its_own_log(runtime: RuntimeFiles, tmp_path: Path) -> None:
    with taking() as taker:
        daemon = f'{{log_to: "127.0.0.1:{taker.port}"}}'
        components = [named_component(tmp_path, "A", daemon=daemon), named_component(tmp_path, "B")]
        pids(start(groups.spread(components, 1), runtime))
        pids(stop([each.key for each in components], runtime))
        wait_for(lambda: "Main has stopped" in taker.messages())
    assert {line["component"] for line in taker.lines} == {"XX.A.Main"}
    assert taker.messages()[0] == f"starting Main from {components[0].file}"
    assert "Main is running" in taker.messages()


def test_the_error_that_ends_a_component_is_sent_too(runtime: RuntimeFiles, tmp_path: Path) -> None:
    with taking() as taker:
        settings = troubled(tmp_path, "refuse", f'{{log_to: "127.0.0.1:{taker.port}"}}')
        with pytest.raises(StartFailed):
            start_one(settings, runtime)
        wait_for(lambda: any(line["level"] >= 40 for line in taker.lines))


@pytest.mark.parametrize(
    ("address", "parts"), [("host:1", ("host", 1)), ("[::1]:10001", ("::1", 10001)), ("192.0.2.7:9", ("192.0.2.7", 9))]
)
def test_an_address_is_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["host", "host:", "host:0", "host:65536", ":1", "tcp://host:1", "a b:1"])
def test_an_address_that_is_none_is_told(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    told = problems_of(tmp_path, GOOD.replace("log_level: DEBUG", f'log_level: DEBUG, log_to: "{address}"'))
    assert any("Daemon.log_to" in each for each in told), told
