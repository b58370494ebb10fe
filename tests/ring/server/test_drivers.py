"""Conformance drivers that others wrote, where ``RAWDAQ_CHECKS`` names the folder with ``seedlink`` and ``datalink``.

What they check is in the other tests here, too.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from rawdaq.publishers.ring import RingPublisher
from tests.ring.rings import serving

CHECKS = Path(os.environ.get("RAWDAQ_CHECKS", "no-such-folder"))

pytestmark = pytest.mark.skipif(not CHECKS.is_dir(), reason="RAWDAQ_CHECKS names no folder of conformance drivers")


async def run(*words: str) -> str:
    """Run a driver; return what it says, which must be that all is well."""
    command = [sys.executable, *words]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def port(publisher: RingPublisher) -> str:
    return str(publisher.service.ports["seedlink"])


async def test_the_seedlink_driver_finds_nothing(tmp_path: Path) -> None:
    driver = CHECKS / "seedlink"
    await run(str(driver / "mkset.py"), str(tmp_path / "set"), "--ms3")
    async with serving(tmp_path / "ring") as publisher:
        feeding = [str(driver / "feed_datalink.py"), "127.0.0.1", port(publisher), str(tmp_path / "set")]
        await run(*feeding)
        live = " ".join([sys.executable, *feeding, "--live", "6"])
        words = [str(driver / "check_seedlink_server.py"), "127.0.0.1", port(publisher)]
        said = await run(*words, "--expect", str(tmp_path / "set"), "--live", live, "--strict")
    assert "failed 0" in said


async def test_the_datalink_driver_finds_nothing(tmp_path: Path) -> None:
    words = [str(CHECKS / "datalink" / "check_server.py"), "--port"]
    async with serving(tmp_path / "ring", max_gb=0.016) as publisher:
        await run(*words, port(publisher), "--beyond", "--strict")
