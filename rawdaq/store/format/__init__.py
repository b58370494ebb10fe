"""The bytes of a store's files, without I/O: `frames` are entries, `control` is what the store writes for itself.

`scan` finds the entries of a segment, whatever has happened to it; `sidecar` is the index of a segment that is full.
"""
