"""``control-rawdaq seiscomp``: the files that make rawdaq a source of SeisComP's SeedLink server.

`commands` is the command line, `files` writes them, `handler` is what SeisComP itself runs.
"""
