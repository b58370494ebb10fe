"""The doctor at work: on real files, folders, sockets and processes."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from rawdaq.control.status import rows
from rawdaq.disk import mounts
from rawdaq.process.runtime_files import RuntimeFiles
from rawdaq.streamer import Channel, Streamer
from tests.control.cli_words import Said
from tests.helpers import free_port, wait_for

STATION = """\
station: {{network: XX, code: DOC, location: "00"}}
Raw:
  Receiver: {{class: RawReceiver, port: {port}, channels: {{{channels}}}, reconnect_max_s: 0.05}}
  Publishers:
    archive: {{class: MiniSeedPublisher, path: {archive}}}
    live: {{class: ZMQTCPPublisher, ip: 127.0.0.1, port: {live}}}
"""


class Doctor:
    """A station, and what the doctor says of it."""

    def __init__(self, folder: Path, said: Said, runtime: RuntimeFiles) -> None:
        self.runtime = runtime
        self.archive = folder / "archive"
        self.file = folder / "station.yaml"
        self._said = said
        self.port, self.live = free_port(), free_port()
        self.write()

    def write(self, channels: str = "1: HHZ") -> None:
        self.file.write_text(STATION.format(port=self.port, channels=channels, archive=self.archive, live=self.live))

    def run(self, *words: str) -> tuple[int, str, str]:
        return self._said.run("-c", str(self.file), *words)

    def pid(self) -> int:
        running = self.runtime.running("XX.DOC.Raw")
        assert running
        return running.pid

    def wrong(self) -> dict[str, str]:
        """Return what is crossed, by its check."""
        status, out, _ = self.run("doctor", "Raw", "--json")
        (findings,) = json.loads(out).values()
        found = {each["check"]: each["text"] for each in findings if each["verdict"] == "wrong"}
        assert status == (1 if found else 0)
        return found


@pytest.fixture
def doctor(runtime: RuntimeFiles, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.setattr(rows, "_STATUS_TIMEOUT_S", 0.5)
    return Doctor(tmp_path, said, runtime)


def device(port: int) -> Streamer:
    made = Streamer([Channel(1, 100, samptype="int32")], port=port)
    made.start()
    return made


def test_a_station_that_does_not_run_yet_is_tried(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.wrong() == {
        "process": "it does not run",
        "device": f"127.0.0.1:{doctor.port} cannot be reached: nothing listens there: is the other side on, "
        "and are host and port right?",
    }
    streamer = device(doctor.port)
    try:
        assert doctor.wrong() == {"process": "it does not run"}
        doctor.write("1: HHZ, 9: HHN")
        assert "channel 9: the peer closed the connection after CHANNEL 9" in doctor.wrong()["channels"]
    finally:
        streamer.stop()
    with socket.create_server(("127.0.0.1", doctor.live)):
        assert f"live cannot listen on TCP 127.0.0.1:{doctor.live}: " in doctor.wrong()["publishers"]
    doctor.archive.write_text("a file")
    doctor.archive = doctor.archive / "below"
    doctor.write()
    assert f"{doctor.archive.parent} is a file, not a folder" in doctor.wrong()["permissions"]
    doctor.archive = doctor.archive.parent.with_name("other")
    doctor.write()
    access = os.access

    def may(path: Path, mode: int) -> bool:
        return path != doctor.archive.parent and access(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", may)
        assert f"may not write in {doctor.archive.parent}" in doctor.wrong()["permissions"]
    fstab = doctor.file.with_name("fstab")
    doctor.archive.mkdir()
    fstab.write_text(f"/dev/sdz1 {doctor.archive} ext4 defaults 0 2\n")
    monkeypatch.setattr(mounts, "_FSTAB", fstab)
    assert "mounts a disk on" in doctor.wrong()["permissions"]


def test_a_station_that_runs_is_judged_by_what_it_answers(doctor: Doctor) -> None:
    streamer = device(doctor.port)
    try:
        assert doctor.run("start", "Raw")[0] == 0
        wait_for(lambda: doctor.wrong().keys() == {"data"})  # nothing was fed yet
        os.kill(doctor.pid(), signal.SIGSTOP)
        assert "did not answer 'status'" in doctor.wrong()["command socket"]
        os.kill(doctor.pid(), signal.SIGCONT)
        doctor.run("send", "Raw", "pause")
        wait_for(lambda: "paused by command" in doctor.wrong().get("process", ""))
        os.kill(doctor.pid(), signal.SIGSTOP)  # else it makes the socket anew at once
        (doctor.runtime.folder / "XX.DOC.Raw.sock").unlink()
        assert "was removed from the runtime folder" in doctor.wrong()["command socket"]
        os.kill(doctor.pid(), signal.SIGCONT)
        wait_for(lambda: "command socket" not in doctor.wrong())
    finally:
        streamer.stop()
    pid = doctor.pid()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert "ended without tidying up" in doctor.wrong()["process"]
    (row,) = json.loads(doctor.run("status", "--json")[1])
    assert row["health"]["number"] == 1000
    assert row["health"]["since"] == row["ended"]


def test_people_get_signs_and_what_to_do_and_a_wrong_file_is_told(doctor: Doctor) -> None:
    status, out, err = doctor.run("doctor")
    lines = [line.rstrip() for line in out.splitlines()]
    assert (status, err, lines[0]) == (1, "", "DOC/Raw")
    assert f"  ✓ configuration   {doctor.file} is valid" in lines
    place = lines.index("  ✗ process         it does not run")
    assert lines[place + 1].strip() == "start it: control-rawdaq start DOC/Raw"
    assert "  - journal         not looked at: it is stopped" in lines
    doctor.file.write_text("station: {network: XX, code: DOC}\nRaw: {}\n")
    status, _, err = doctor.run("doctor")
    assert (status, "Raw: has no `Receiver`" in err) == (2, True)


def test_a_component_of_a_file_that_is_wrong_now_is_judged_by_its_answers(doctor: Doctor) -> None:
    assert doctor.run("start", "Raw")[0] == 0
    doctor.file.write_text("station: {network: XX, code: DOC}\nRaw: {}\n")
    status, out, _ = doctor.run("doctor", "Raw", "--json")
    (findings,) = json.loads(out).values()
    texts = [each["text"] for each in findings if each["check"] == "configuration"]
    assert status == 1
    assert [text for text in texts if "Raw: has no `Receiver`" in text]
    assert "no valid station file describes it" not in texts  # that file does, but for its mistakes


def test_a_component_of_another_configuration_is_not_called_wrong(doctor: Doctor, tmp_path: Path, said: Said) -> None:
    assert doctor.run("start", "Raw")[0] == 0
    other = tmp_path / "other" / "other.yaml"
    other.parent.mkdir()
    other.write_text(doctor.file.read_text().replace("Raw:", "Other:"))
    _, out, _ = said.run("-c", str(other), "doctor", "Raw", "--json")
    (findings,) = json.loads(out).values()
    (found,) = (each for each in findings if each["check"] == "configuration")
    assert (found["verdict"], str(doctor.file) in found["text"]) == ("unknown", True)


def test_a_runtime_folder_that_cannot_be_used_is_told(doctor: Doctor) -> None:
    folder = doctor.runtime.folder
    assert "permissions" not in doctor.wrong()
    folder.rename(folder.with_name("away"))
    folder.write_text("a file")
    try:
        status, out, _ = doctor.run("doctor")
        assert (status, f"✗ permissions  {folder}" in out) == (1, True)
    finally:
        folder.unlink()
        folder.with_name("away").rename(folder)
