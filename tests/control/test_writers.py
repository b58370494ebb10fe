"""``control-rawdaq start writer``: components that only subscribe, started, fed and stopped as a person does."""

from pathlib import Path

import pytest
import zmq

from rawdaq.container import ContainerReader
from rawdaq.messages.frames import encode
from rawdaq.process.runtime_files import RuntimeFiles
from tests import outside
from tests.container.files import event
from tests.control.cli_words import Said
from tests.helpers import wait_for

WRITER = """\
Store:
  Receiver: {class: ZMQReceiver, endpoints: ["ADDRESS"], messages: ["~event"]}
  Publishers:
    files: {class: ContainerPublisher, path: data, prefix: Events, suffix: order, flush_s: 0, rotate_count: 2}
"""


def test_writers_are_started_and_write_what_is_published(station: Path, said: Said, runtime: RuntimeFiles) -> None:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        station.write_text(outside.STATION + WRITER.replace("ADDRESS", f"tcp://127.0.0.1:{port}"))
        status, out, err = said.run("start", "writer", "all")
        assert (status, out.startswith("XX.OUT.Store started"), err) == (0, True, "")
        assert runtime.running("XX.OUT.Main") is None
        assert socket.recv() == b"\1~event"
        sent = [event(number) for number in range(5)]
        for each in sent:
            socket.send_multipart(encode(each))
        data = station.parent / "data"
        wait_for(lambda: (data / "Events_003.rdc.part").exists())
        assert said.run("stop", "Store")[0] == 0
    found: list[object] = []
    for path in sorted(data.glob("*.rdc")):
        with ContainerReader(path) as reader:
            found += list(reader)
    assert found == sent
    assert len([*data.iterdir()]) == 3


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["Main"], "OUT/Main is no writer: its receiver does not subscribe; control-rawdaq start OUT/Main starts it."),
        (["all"], "There is no writer: a component whose receiver only subscribes"),
        ([], "start writer WHICH?"),
    ],
)
def test_what_is_no_writer_is_not_started_as_one(station: Path, said: Said, args: list[str], reason: str) -> None:
    status, _, err = said.run("start", "writer", *args)
    assert (status, reason in err) == (2, True)
