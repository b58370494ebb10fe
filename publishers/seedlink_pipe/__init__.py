"""SeedLinkPluginPublisher: samples or records to the SeedLink server that started this program.

`publisher` makes the frames; `pipe_end` writes them without blocking and never half a frame.
"""

from rawdaq.publishers.seedlink_pipe.publisher import SeedLinkPluginPublisher

__all__ = ["SeedLinkPluginPublisher"]
