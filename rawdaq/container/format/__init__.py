"""The bytes of a container file, without I/O: `layout` has headers and footer, `blocks` and `objects` what is between.

`scan` finds the blocks whatever has happened to a file, `index` knows where they are; `sof` has the files of ssdaq.
"""
