"""An error of a disk says what to do about it."""

import errno
import os

import pytest

from rawdaq.disk.remedies import describe, describe_write


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EIO, "Input/output error; check the disk and its cable"),
        (errno.EWOULDBLOCK, "another program or publisher writes it; give each its own path"),
        (errno.EFBIG, "File too large; look at the disk with df and dmesg, or choose another path"),
    ],
)
def test_cause_and_remedy_are_one_line(number: int, text: str) -> None:
    assert describe(OSError(number, os.strerror(number))) == text


def test_an_error_without_words_gets_those_of_the_system() -> None:
    assert describe(OSError(errno.ENOSPC, "")).startswith("No space left on device; ")
    assert describe(OSError()).startswith("Input/output error; ")


def test_an_own_cause_is_kept() -> None:
    assert describe(OSError(errno.ENODEV, "it is not a plain file")) == "it is not a plain file; choose another path"


def test_the_file_is_the_one_that_is_given_or_that_of_the_error() -> None:
    error = OSError(errno.EROFS, "Read-only file system", "/a/b")
    assert describe_write(error) == "cannot write /a/b: Read-only file system; mount that disk for writing"
    assert describe_write(error, "/c").startswith("cannot write /c: ")
