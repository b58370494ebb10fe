"""JsonLinesPublisher: the JSON packets of a DataLink server as files with one JSON value a line.

`layout` names the files, `files` appends to them, `progress` knows what is in them after a crash.
"""

from rawdaq.publishers.jsonl.publisher import JsonLinesPublisher

__all__ = ["JsonLinesPublisher"]
