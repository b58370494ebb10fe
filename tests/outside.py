"""A tiny package from outside, with a receiver and a publisher of its own, as a user would install it."""

import os
import sys
from pathlib import Path

import pytest

from rawdaq.config import registry

MODULE = '''
import asyncio, os, signal, sys, time
from pathlib import Path
from typing import Annotated
from pydantic import Field
from rawdaq.errors import ComponentError
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer


class OutsideReceiver(ReceiverServer):
    """Receives nothing, answers commands, and goes wrong as it is told to."""

    def __init__(self, publishers: list, name: str, port: Annotated[int, Field(ge=1, le=65535)] = 9000,
                 trouble: str = "", folder: Path = Path("."), labels: dict[int, str] = {}, fast: bool = False):
        super().__init__("127.0.0.1", port, publishers, name)
        self._setup = True
        self.trouble = trouble
        if trouble == "refuse":
            raise ValueError("the port is taken; take another")
        if trouble == "bug":
            raise KeyError("a bug")
        if trouble == "exit":
            os.write(2, b"a library said goodbye\\n")
            os._exit(3)
        if trouble == "hang":
            signal.pause()

    async def ct_commands(self):
        if self.trouble != "silent":
            await super().ct_commands()

    async def ct_a_first(self):
        if self.trouble == "stubborn":
            self.loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    async def ct_b_second(self):
        while self.trouble == "clinging":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    def cmd_break(self):
        """End with an error."""
        async def fail():
            raise RuntimeError("it broke")

        self.spawn(fail(), "breaking")

    def cmd_log(self, args):
        """Write a line at level DEBUG."""
        self.log.debug(" ".join(args))

    def cmd_echo(self, args):
        """Say it again."""
        return " ".join(args)

    def cmd_raw(self):
        return b"\\x00\\xff"

    def cmd_data(self):
        return {"a": [1, None]}

    def cmd_nothing(self):
        return None


class OutsidePublisher(Publisher):
    """Delivers to nowhere."""

    async def deliver(self, batch):
        pass


NoClass = 5
'''

ENTRY_POINTS = """[rawdaq.receivers]
OutsideReceiver = {module}:OutsideReceiver
NoClass = {module}:NoClass
Missing = {module}:Missing
Broken = {module}_that_is_not_there:Broken
[rawdaq.publishers]
OutsidePublisher = {module}:OutsidePublisher
"""

STATION = """\
station: {network: XX, code: OUT}
Main:
  Receiver: {class: OutsideReceiver}
  Publishers:
    nowhere: {class: OutsidePublisher}
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str = "rawdaq_outside") -> Path:
    """Install the package into *folder*/site, for this process and for those that it starts; return that folder."""
    site = folder / "site"
    about = site / f"{module}-1.0.dist-info"
    about.mkdir(parents=True)
    (site / f"{module}.py").write_text(MODULE)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS.format(module=module))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(Path(__file__).parent.parent)]))
    monkeypatch.delitem(sys.modules, module, raising=False)
    forget()
    return site


def forget() -> None:
    """Make the registry look again at what is installed."""
    registry._installed.cache_clear()
