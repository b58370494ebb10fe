import resource
import sys

import pytest

from rawdaq.process.limits import first_for_commands, first_for_sockets


@pytest.mark.parametrize(
    ("limit", "sockets", "commands"),
    [(100, 50, 75), (1024, 896, 960), (resource.RLIM_INFINITY, sys.maxsize, sys.maxsize)],
)
def test_archives_leave_some_to_sockets_and_both_to_commands(
    limit: int, sockets: int, commands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limits(_: int) -> tuple[int, int]:
        return limit, limit

    monkeypatch.setattr(resource, "getrlimit", limits)
    assert (first_for_sockets(), first_for_commands()) == (sockets, commands)
