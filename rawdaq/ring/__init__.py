"""A ring: records on disk under numbers that are never used twice, and what serves them to any number of clients.

`ring` has it, over `rawdaq.store`; `packets` is what is in it and how that is sent, `tail` the newest of them in memory,
`blocks` what is read from the disk for clients that are behind, `streams` what is held of each stream, `sending` brings
packets to those who follow. `rawdaq.ring.server` speaks SeedLink and DataLink to them.
"""
