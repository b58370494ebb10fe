"""``rawdaq-dump``: a live stream, or files, as lines, JSON or a table, and written as miniSEED or a picture.

`command` is the command line, `run` is one run of it, the others are its outputs.
"""
