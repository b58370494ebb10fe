"""``rawdaq-plugin``: components that SeisComP's SeedLink server runs as its plugin.

`command` is the command line, `component` makes components of it, `process` runs them.
"""
