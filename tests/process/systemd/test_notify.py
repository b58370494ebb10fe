"""What a process tells the service manager that started it."""

import asyncio
import logging
import os

import pytest

from rawdaq.process.systemd.notify import Notifier
from tests.process.systemd.managers import manager


@pytest.mark.parametrize("is_abstract", [False, True])
def test_every_state_is_told(is_abstract: bool) -> None:
    with manager(is_abstract=is_abstract) as listening:
        notifier = Notifier(listening.address)
        notifier.status("two\nlines")
        notifier.status("two\nlines")
        notifier.ready()
        notifier.reloading()
        notifier.stopping()
        heard = listening.take()
    assert heard[:3] == ["STATUS=two lines", "READY=1", "RELOADING=1"]
    assert heard[3].startswith("MONOTONIC_USEC=")
    assert heard[4:] == ["STOPPING=1"]


def test_the_variables_are_taken_so_that_no_child_has_them() -> None:
    environment = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    notifier = Notifier.of_environment(environment)
    assert (notifier.address, notifier.watchdog_s, environment) == ("/run/n", 2.0, {"A": "b"})


@pytest.mark.parametrize(
    "environment",
    [
        {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "2000000"},
        {},
    ],
)
def test_a_watchdog_that_is_not_for_this_process_is_not_fed(environment: dict[str, str]) -> None:
    assert Notifier.of_environment(environment).watchdog_s is None


def test_the_watchdog_is_fed_only_while_the_event_loop_turns() -> None:
    with manager() as listening, asyncio.Runner() as runner:
        notifier = Notifier(listening.address, watchdog_s=0.003)

        async def run_until_fed() -> None:
            listening.heard.clear()
            running = asyncio.create_task(notifier.run(lambda: "good"))
            while listening.heard.count("WATCHDOG=1") < 2:
                await asyncio.sleep(0)
                listening.take()
            running.cancel()

        for _ in range(2):
            runner.run(asyncio.wait_for(run_until_fed(), 30))
            listening.take()
            assert listening.take() == []  # the loop stands still


def test_without_a_manager_nothing_happens() -> None:
    notifier = Notifier(None)
    asyncio.run(notifier.run(lambda: pytest.fail("nobody asks")))
    notifier.ready()


def test_a_manager_that_is_gone_is_logged_once_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with manager() as listening:
        pass
    notifier = Notifier(listening.address)
    with caplog.at_level(logging.WARNING):
        notifier.ready()
        notifier.stopping()
    assert [record.getMessage() for record in caplog.records] == [
        f"systemd does not take reports: {listening.address}: No such file or directory"
    ]
