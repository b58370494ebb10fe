"""rawdaq-plugin as SeedLink runs it: by bash, with descriptor 63 and the plugin's name at the end.

Where it does not matter who started it, it is a fork of the test's own process.
"""

import json
import os
import signal
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control.plugin import process as plugin_process
from rawdaq.process.runtime_files import RuntimeFiles
from tests import forks
from tests.control.cli_words import Said
from tests.fake_device import Described, Session, device
from tests.helpers import wait_for
from tests.seedlink_server import (
    NEARLY_FULL_BYTES,
    RATE_HZ,
    SIZE,
    Server,
    forked,
    noise,
    packets,
    playing,
    seedlink,
    short,
    write_station,
)


@pytest.mark.usefixtures("runtime_dir")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_samples_of_all_channels_arrive_and_a_signal_flushes_the_last_ones(said: Said, number: int) -> None:
    data = {1: noise(10 * SIZE, 1), 2: noise(10 * SIZE, 2)}
    words = ("-e", "FLOAT32", "--flush-after", "600")
    with (
        device(playing(*(packets(*each) for each in data.items()))) as port,
        seedlink(*short(port, *words, channels="00.HHZ:1,.HHN:2,")) as server,
    ):
        wait_for(lambda: _stats(server, said) == 20)
        server.process.send_signal(number)
        arrived = server.take_samples(20 * SIZE)
        assert not list(server.frames())
        status, log = server.end()
    assert status == 0
    assert "has stopped" in log
    assert set(arrived) == {"XX.DEMO.00.HHZ", "XX.DEMO..HHN"}
    for name, samples in zip(("XX.DEMO.00.HHZ", "XX.DEMO..HHN"), data.values(), strict=True):
        assert arrived[name].tolist() == samples.tolist()


def _stats(server: Server, said: Said) -> int:
    """Return how many packets the plugin has received; asked as a user would."""
    assert server.process.poll() is None
    status, out, _ = said.run("send", "DEMO/seedlink-rawdaq0", "stats", "--json")
    streams: dict[str, dict[str, int]] = {} if status else json.loads(out)  # it may not answer yet
    return sum(stream["packets"] for stream in streams.values())


@pytest.mark.usefixtures("runtime_dir")
def test_a_server_that_stops_reading_under_load_gets_every_sample_once_and_in_order(tmp_path: Path) -> None:
    samples = noise(1500 * SIZE)
    sent = 0

    async def play(session: Session) -> None:
        nonlocal sent
        await session.handshake({1: Described(str(RATE_HZ))})
        for each in packets(1, samples):
            await session.send(each)
            sent += 1
        await session.until_closed()

    with device(play) as port:
        file = write_station(tmp_path, port, ", queue_packets: 20")
        with forked("--config", str(file), "--component", "One") as server:
            wait_for(lambda: server.waiting_bytes > NEARLY_FULL_BYTES)
            wait_for(lambda: sent > 200)
            arrived = server.take_samples(len(samples))
            server.process.terminate()
            assert server.end()[0] == 0
    assert arrived["XX.DEMO..HHZ"].tolist() == samples.tolist()


@pytest.mark.usefixtures("runtime_dir")
def test_several_components_share_the_process_and_the_pipe(tmp_path: Path) -> None:
    data = noise(200 * SIZE, 1), noise(200 * SIZE, 2)
    with device(playing(packets(1, data[0]))) as first, device(playing(packets(1, data[1]))) as other:
        second = f"Two:\n  Receiver: {{class: RawReceiver, port: {other}, channels: {{1: HHN}}}}\n  Publishers:\n"
        second += "    seedlink: {class: SeedLinkPluginPublisher, flush_after_s: 0.05}\n"
        with forked("--config", str(write_station(tmp_path, first, second=second))) as server:
            arrived = server.take_samples(400 * SIZE)
            server.process.terminate()
            status, said = server.end()
    assert status == 0, said
    for name, samples in zip(("XX.DEMO..HHZ", "XX.DEMO..HHN"), data, strict=True):
        assert arrived[name].tolist() == samples.tolist()


def test_a_closed_pipe_ends_it_with_a_reason_and_what_it_cannot_write_elsewhere_does_not(
    runtime_dir: Path,
) -> None:
    file = runtime_dir.parent / "file"
    file.touch()
    no_commands = {"RAWDAQ_RUNTIME_DIR": str(file / "run")}
    with (
        device(playing(packets(1, noise(10 * SIZE)))) as port,
        seedlink(*short(port, "--flush-after", "0"), env=no_commands) as server,
    ):
        server.close()
        status, said = server.end()
    assert status == 1
    assert "control-rawdaq cannot talk to XX.DEMO.seedlink-rawdaq0" in said
    assert "pipe" in [line for line in said.splitlines() if " ERROR rawdaq.process " in line][-1]
    assert said.count(" CRITICAL ") == 1
    assert "still busy" not in said


@pytest.mark.usefixtures("runtime_dir")
def test_a_device_that_goes_away_does_not_end_it() -> None:
    samples = noise(6 * SIZE)
    parts = packets(1, samples)

    async def play(session: Session) -> None:
        await session.handshake({1: Described(str(RATE_HZ))})
        await session.send(b"".join(parts[2 * session.number : 2 * session.number + 2]))
        if session.number == 2:
            await session.until_closed()

    with device(play) as port, forked(*short(port, "-r", "0", "--log-level", "DEBUG")) as server:
        assert server.take_samples(6 * SIZE)["XX.DEMO.00.HHZ"].tolist() == samples.tolist()
        server.process.terminate()
        status, said = server.end()
    assert status == 0
    assert "trying again in 0." in said


@pytest.mark.usefixtures("runtime_dir")
def test_a_server_that_never_reads_again_does_not_keep_it_alive(tmp_path: Path) -> None:
    with device(playing(packets(1, noise(1500 * SIZE)))) as port:
        file = write_station(tmp_path, port, second="  Daemon: {stop_timeout_s: 0.2}\n")
        with forked("--config", str(file)) as server:
            wait_for(lambda: server.waiting_bytes > NEARLY_FULL_BYTES)
            server.process.terminate()
            status, said = server.end()
    assert "not delivered within 0.2 s of stopping and lost" in said, said
    assert status == 1


@pytest.mark.usefixtures("runtime_dir")
def test_a_closed_pipe_ends_it_also_while_nothing_is_to_be_written() -> None:
    async def play(session: Session) -> None:
        await session.handshake({1: Described(str(RATE_HZ))})
        await session.until_closed()

    with device(play) as port, forked(*short(port)) as server:
        assert server.process.stderr is not None
        wait_for(lambda: "the device sends" in server.process.stderr.readline())  # type: ignore[union-attr]
        server.close()
        status, said = server.end()
    assert status == 1
    assert "descriptor 63" in said


def _hold(runtime_dir: Path, key: str) -> AbstractContextManager[None]:
    runtime = RuntimeFiles(runtime_dir, runtime_dir / "log")
    runtime.prepare()
    return runtime.hold(key, Path("/etc/station.yaml"), 1)


def test_a_component_of_a_station_file_that_runs_already_is_not_run_a_second_time(
    runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_process, "_COPY_TIMEOUT_S", 0.2)
    (settings,) = config.load(write_station(tmp_path, 9)).components
    with _hold(runtime_dir, settings.key):
        done = forks.run(lambda: plugin_process.run([settings]))
    assert done.returncode == 1
    reason = f"{settings.key} is already running (pid {os.getpid()}); stop it first: control-rawdaq stop"
    assert f" ERROR rawdaq.process {reason}" in done.stderr


def test_a_plugin_waits_for_its_predecessor_that_is_just_stopping(runtime_dir: Path, tmp_path: Path) -> None:
    (settings,) = config.load(write_station(tmp_path, 9)).components
    with ExitStack() as predecessor:
        predecessor.enter_context(_hold(runtime_dir, settings.key))
        with forked("--config", str(settings.file)) as server:
            assert server.process.stderr is not None
            waiting = f"waiting for the process {os.getpid()}, which still runs it, to end"
            wait_for(lambda: waiting in server.process.stderr.readline())  # type: ignore[union-attr]
            predecessor.close()
            wait_for(lambda: "One is running" in server.process.stderr.readline())  # type: ignore[union-attr]
            server.process.terminate()
            assert server.end()[0] == 0
