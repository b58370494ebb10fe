import resource
from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control.processes import file_limits as open_files
from tests import outside

ARCHIVE = """\
station: {network: XX, code: A}
Raw:
  Receiver: {class: RawReceiver, channels: {1: HHZ, 2: HHN, 3: HHE}}
  Publishers:
    archive: {class: MiniSeedPublisher, path: archive}
"""


def _limit(monkeypatch: pytest.MonkeyPatch, highest: int) -> None:
    def limits(_: int) -> tuple[int, int]:
        return 1, highest

    monkeypatch.setattr(resource, "getrlimit", limits)


def test_a_process_with_too_many_archives_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(ARCHIVE)
    group = config.load(tmp_path / "a.yaml").components * 100
    _limit(monkeypatch, 839)
    told = open_files.shortage(group)
    assert told is not None
    assert told.startswith("100 components in one process may need 840 open files, and it may have 839: give --proc")
    for enough in (840, resource.RLIM_INFINITY):
        _limit(monkeypatch, enough)
        assert open_files.shortage(group) is None


@pytest.mark.parametrize(
    ("archive", "decimation", "files"),
    [("", "", 8), (', streams: ["*.HHZ"]', "", 6), ("", "  Decimation: {slow: {rate_hz: 1}}\n", 11)],
)
def test_each_stream_that_an_archive_gets_is_a_file(
    tmp_path: Path, archive: str, decimation: str, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(ARCHIVE.replace("path: archive", "path: archive" + archive) + decimation)
    _limit(monkeypatch, 1)
    told = open_files.shortage(config.load(tmp_path / "a.yaml").components)
    assert told is not None
    assert f"may need {40 + files} open files" in told


def test_streams_that_nobody_knows_before_they_come_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        (tmp_path / "a.yaml").write_text(outside.STATION)
        _limit(monkeypatch, 46)
        told = open_files.shortage(config.load(tmp_path / "a.yaml").components)
    outside.forget()
    assert told is not None
    assert "may need 47 open files" in told


def test_as_many_files_may_be_opened_as_the_system_ever_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[tuple[int, int]] = []

    def set_limit(_: int, limits: tuple[int, int]) -> None:
        wanted.append(limits)
        raise ValueError("not really infinite")

    _limit(monkeypatch, 4096)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    open_files.raise_limit()
    assert wanted == [(4096, 4096)]
