"""``rawdaq-device --replay``."""

import signal
from pathlib import Path

import pytest

from rawdaq.capture.file import Kind
from tests.control.captures import HANDSHAKE, listening, talk, write
from tests.forks import run_cli, start_cli


def test_the_command_plays_it_to_a_receiver_and_ends(tmp_path: Path) -> None:
    capture = write(tmp_path / "a", [*HANDSHAKE, (Kind.ENDED, 1, 0.0, "", b"closed")])
    with start_cli(["rawdaq-device", "--replay", str(capture), "--port", "0", "--speed", "max"]) as process:
        line = process.stdout.readline()
        assert line.startswith(f"replaying {capture}, on 127.0.0.1:")
        assert talk(int(line.rpartition(":")[2]))[0] == b"welcome\n"
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "replayed 1 connections, 8 bytes\n")
    assert "connection 1 of the capture" in err


def test_the_command_sends_datagrams_to_their_target(tmp_path: Path) -> None:
    capture = write(tmp_path / "a", [(Kind.DATAGRAM, 9000, 0.0, "a", b"one"), (Kind.DATAGRAM, 9000, 0.0, "a", b"two")])
    with listening() as (listener, port):
        done = run_cli(["rawdaq-device", "--replay", str(capture), "--udp", f"127.0.0.1:{port}"])
        assert [listener.recv(10), listener.recv(10)] == [b"one", b"two"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "replayed 2 datagrams, 6 bytes"


def test_a_signal_ends_the_command_quietly(tmp_path: Path) -> None:
    capture = write(tmp_path / "a", HANDSHAKE)
    with start_cli(["rawdaq-device", "--replay", str(capture), "--port", "0"]) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "replayed 0 connections, 0 bytes\n", "")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--replay", "none"], "there is no capture none"),
        (["--replay", "none", "--sine", "1"], "--replay plays what was captured: leave out --sine"),
        (["--replay", "none", "--packet-s", "1"], "leave out --packet-s"),
    ],
)
def test_a_wrong_call_is_reported(tmp_path: Path, args: list[str], reason: str) -> None:
    done = run_cli(["rawdaq-device", *args], cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
