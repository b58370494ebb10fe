import resource
import sys

import pytest

from rawdaq.errors import ComponentError
from rawdaq.open_files import first_for_commands, first_for_sockets, raise_open_files


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


def test_a_limit_below_what_is_needed_is_reported_with_what_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [10, 20]
    raised: list[tuple[int, int]] = []

    def setrlimit(_: int, asked: tuple[int, int]) -> None:
        raised.append(asked)

    def getrlimit(_: int) -> tuple[int, int]:
        return limits[0], limits[1]

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    raise_open_files(20)
    assert raised == [(20, 20)]
    with pytest.raises(ComponentError) as caught:
        raise_open_files(21)
    assert str(caught.value) == (
        "a process may have only 20 open files here, and needs 21: "
        "raise the limit (ulimit -n; LimitNOFILE= in a unit of systemd)"
    )
    limits[1] = resource.RLIM_INFINITY
    raise_open_files(1_000_000)
    assert raised[1:] == [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
