"""Records into many files in one step: compiled from file_batches.c where there is a C compiler.

The same in Python is `rawdaq.archive_file.ArchiveFile.append`.
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
