"""The segments of a store: their indexes and the entries in them.

Entries are found by position, stream and time, and read here; `rawdaq.store.format` has the bytes.
"""
