"""A folder whose disk is not mounted is noticed."""

import os
from pathlib import Path

import pytest

from rawdaq.disk.mounts import MountedFolder, device_below


def test_the_root_file_system_lies_on_nothing() -> None:
    assert device_below(Path("/")) is None


def test_a_mount_lies_on_another_file_system() -> None:
    assert device_below(Path("/proc/self")) == os.stat("/").st_dev


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/shm")
    assert device_below(tmp_path / "link") == device_below(Path("/dev/shm"))


def test_a_folder_has_the_device_of_its_disk(tmp_path: Path) -> None:
    folder = MountedFolder(tmp_path)
    folder.watch()
    assert folder.device() == tmp_path.stat().st_dev


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    folder = MountedFolder(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        folder.watch()
    with pytest.raises(FileNotFoundError):
        folder.device()


def test_a_mount_point_without_its_disk_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def below(path: Path) -> int:
        return path.stat().st_dev

    monkeypatch.setattr("rawdaq.disk.mounts.device_below", below)
    folder = MountedFolder(tmp_path)
    folder.watch()
    with pytest.raises(FileNotFoundError) as error:
        folder.device()
    assert error.value.filename == str(tmp_path)
