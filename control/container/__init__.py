"""``control-rawdaq container``: what is in container files, checked, saved and written for other programs.

`commands` is the command line; all else is in `rawdaq.container`.
"""
