"""The pipe of a SeedLink plugin: `writer` makes what the plugin writes."""
