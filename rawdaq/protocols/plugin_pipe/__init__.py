"""The pipe of a SeedLink plugin: `writer` makes the frames that the plugin writes.

Nothing comes back on it, so there is no reader.
"""
