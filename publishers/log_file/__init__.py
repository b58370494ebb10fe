"""LogFilePublisher: log records, and other messages, as lines of text in files that rotate.

`publisher` is the publisher, `files` the file with those before it.
"""

from rawdaq.publishers.log_file.publisher import LogFilePublisher

__all__ = ["LogFilePublisher"]
