"""Many files opened, written and brought to the disk in one step each.

Compiled from file_batches.c where there is a C compiler; the same in Python is in `rawdaq.archive_file`.
"""

def append(files: tuple[tuple[int, bytes, int, int, tuple[bytes, ...]], ...], /) -> list[tuple[int, int, int]]:
    """Write to files that are open for appending, one after the other up to the first error; other threads go on.

    Args:
        files: of each file its descriptor, its path, the numbers of its device and inode, and what to append.

    Returns:
        Of each file that was tried how long it was, how many bytes were written, and the number of the error that kept
        the rest from it, or 0. The length is -1 where nothing was written because the path does not lead to this file.

    Raises:
        TypeError, OverflowError: arguments that are none.
    """

def open(paths: tuple[bytes, ...], /) -> list[tuple[int, int, int, int, int]]:
    """Open files for appending and lock them, one after the other up to the first error; other threads go on.

    Folders are made where they are missing. A file system that knows no locks is used without.

    Returns:
        Of each file that was tried its descriptor (-1: it is not open), the numbers of its device and inode, how long
        it is, and the number of the error, or 0.

    Raises:
        TypeError, ValueError: arguments that are no paths.
    """

def sync(descriptors: tuple[int, ...], /) -> tuple[int, int]:
    """Have the disk begin with all of these files, then wait for one after the other; other threads go on.

    Returns:
        How many are safe on the disk before the first that is not, and the number of its error, or 0.

    Raises:
        TypeError, OverflowError: arguments that are none.
    """
