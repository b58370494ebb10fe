"""Answers to INFO, what a server says of itself and its stations, as plain values: `values`.

`v3` writes and reads them as XML, `v4` as JSON.
"""
