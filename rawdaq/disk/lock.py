"""A file that is appended to is locked, where its file system knows locks."""

import errno
import fcntl

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def lock(descriptor: int) -> None:
    """Let nobody else lock the open file *descriptor*; a file system that knows no locks is used without.

    Raises:
        BlockingIOError: another program or publisher has locked it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
