import subprocess
import sys
from pathlib import Path

from tests.helpers import environment

_START = """
import asyncio, logging, os
from pathlib import Path
from rawdaq.process import log
from rawdaq.process import member_log
from rawdaq.disk.threads import disk_thread

logs = member_log.configure_shared(Path("group.log"))
log_of = logging.getLogger("rawdaq.receivers.Same")
"""


def _run(code: str, folder: Path) -> dict[str, list[str]]:
    """Run *code* in a process of its own, and return the lines of every file that it wrote, without their times."""
    command = [sys.executable, "-c", _START + code]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("", ""), "all that is written is in a file"
    return {
        file.name: [line.partition(" ")[2] for line in file.read_text().splitlines()]
        for file in sorted(folder.glob("*.log*"))
    }


def test_lines_go_to_the_component_whose_task_tasks_and_callbacks_log_them(tmp_path: Path) -> None:
    code = """
async def component(name):
    logs.add(Path(f"{name}.log")).attach()
    log_of.info("task of %s", name)
    await asyncio.create_task(later(name))
    asyncio.get_running_loop().call_soon(log_of.info, "callback of %s", name)
    await asyncio.sleep(0)
    await asyncio.to_thread(log_of.info, "thread of %s", name)
    thread = disk_thread(7)
    await thread.submit(log_of.info, "job of %s", name)
    thread.give_back()

async def later(name):
    log_of.info("its task of %s", name)

async def main():
    await asyncio.gather(component("A"), component("B"))
    log_of.info("nobody's")

asyncio.run(main())
os.write(2, b"12:00 said by C\\n")
"""
    told = _run(code, tmp_path)
    for name in "AB":
        said = [f"{what} of {name}" for what in ("task", "its task", "callback", "thread", "job")]
        assert told[f"{name}.log"] == [f"INFO rawdaq.receivers.Same {text}" for text in said]
    assert told["group.log"] == ["INFO rawdaq.receivers.Same nobody's", "said by C"]


def test_every_component_has_a_level_of_its_own(tmp_path: Path) -> None:
    code = """
async def component(name, level):
    member = logs.add(Path(f"{name}.log"))
    member.attach()
    assert member_log.level() == "INFO"
    member_log.set_level(level)
    assert member_log.level() == level
    await asyncio.sleep(0)  # until all have said their level
    for method in (log_of.debug, log_of.info, log_of.warning):
        method("%s", name)
    logging.getLogger("other").warning("heard by %s", name)
    await asyncio.sleep(0)
    logs.remove(member)

async def main():
    await asyncio.gather(component("A", "DEBUG"), component("B", "WARNING"), component("C", "ERROR"))

assert logging.getLogger("rawdaq").level == logging.INFO
asyncio.run(main())
assert logging.getLogger("rawdaq").level == logging.INFO, "lines that nobody wants are not made"
log_of.debug("nobody's")
"""
    told = _run(code, tmp_path)
    assert [line.split()[0] for line in told["A.log"]] == ["DEBUG", "INFO", "WARNING", "WARNING"]
    assert told["B.log"] == ["WARNING rawdaq.receivers.Same B", "WARNING other heard by B"]
    assert told["C.log"] == ["WARNING other heard by C"]
    assert told["group.log"] == []


def test_no_log_file_stays_open_and_each_is_rotated(tmp_path: Path) -> None:
    code = """
log.MAX_FILE_BYTES = 300
member = logs.add(Path("A.log"))
member.attach()
for letter in "xyz":
    log_of.info(letter * 200)
kept = {os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}
assert os.path.realpath("group.log") in kept
assert os.path.realpath("A.log") not in kept
"""
    told = _run(code, tmp_path)
    assert [told[name][0][-1] for name in ("A.log", "A.log.1", "A.log.2")] == ["z", "y", "x"]


def test_a_log_that_cannot_be_written_harms_no_other_and_is_reported_in_that_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    code = """
async def main():
    logs.add(Path("A")).attach()
    log_of.info("lost")

asyncio.run(main())
log_of.info("kept")
"""
    assert _run(code, tmp_path)["group.log"] == [
        f"INFO rawdaq.receivers.Same lost [{tmp_path}/A: Is a directory]",
        "INFO rawdaq.receivers.Same kept",
    ]


def test_a_full_disk_costs_lines_only_and_afterwards_every_log_goes_on(tmp_path: Path) -> None:
    code = """
import resource

member = logs.add(Path("A.log"))
member.attach()
log_of.info("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
log_of.info("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log_of.info("after")
logs.remove(member)
"""
    told = _run(code, tmp_path)
    assert [line.split()[-1] for line in told["A.log"]] == ["before", "after"]
    assert told["group.log"] == [f"INFO rawdaq.receivers.Same lost [{tmp_path}/A.log: File too large]"]


def test_a_line_that_cannot_be_made_harms_no_other_and_is_reported_in_that_of_the_process(tmp_path: Path) -> None:
    code = """
logs.add(Path("A.log")).attach()
log_of.info("%d apples", "many")
"""
    told = _run(code, tmp_path)["group.log"]
    assert "Message: '%d apples'" in (tmp_path / "group.log").read_text()
    assert told


def test_logs_that_were_removed_with_their_folder_come_back(tmp_path: Path) -> None:
    code = """
import shutil
logs = member_log.configure_shared(Path("logs/group.log"))
member = logs.add(Path("logs/A.log"))

async def component():
    member.attach()
    log_of.info("before")
    shutil.rmtree("logs")
    log.restore_files()
    os.write(2, b"12:00 said by C\\n")
    log_of.info("after")

asyncio.run(component())
os.rename("logs/group.log", "group.log")
os.rename("logs/A.log", "A.log")
"""
    (tmp_path / "logs").mkdir()
    assert _run(code, tmp_path) == {"A.log": ["INFO rawdaq.receivers.Same after"], "group.log": ["said by C"]}
