"""SeedLinkReceiver: records of a SeedLink server, of version 3 or 4.

`receiver` publishes them and `connection` talks to the server; `feed` knows what to ask for and what came twice, from
`positions`, which are kept in a file.
"""

from rawdaq.receivers.seedlink.receiver import SeedLinkReceiver

__all__ = ["SeedLinkReceiver"]
