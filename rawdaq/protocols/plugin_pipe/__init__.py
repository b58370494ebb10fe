"""The pipe of a SeedLink plugin: `PipeWriter` is the plugin's side, `PipeReader` the server's.

`format` has the frames, `errors` what can be wrong with them.
"""

from rawdaq.protocols.plugin_pipe.reader import PipeReader
from rawdaq.protocols.plugin_pipe.writer import PipeWriter

__all__ = ["PipeReader", "PipeWriter"]
