"""RawWriter: bytes to one file, as they come; a batch is in it whole or not at all.

`publisher` writes; `found` recognises, behind a journal, what was written before a crash.
"""

from rawdaq.publishers.raw_writer.publisher import RawWriter

__all__ = ["RawWriter"]
