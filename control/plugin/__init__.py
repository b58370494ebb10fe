"""``rawdaq-plugin``: components that SeisComP's SeedLink server runs as its plugin.

`command` is the command line, `component` what is made of it, `process` the life of the process.
"""
