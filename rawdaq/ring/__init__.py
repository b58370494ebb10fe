"""A ring: records on disk under numbers that are never used twice, and what serves them to any number of clients.

`ring` has it, over `rawdaq.store`; `writing` puts packets into it, `reading` finds them. `packets` is what is in it and
how it is sent, `names` how its streams are called. `tail` has the newest packets in memory, `blocks` what is read for
clients that are behind, `streams` what is held of each stream. `sending` brings packets to those who follow, and
`rawdaq.ring.server` speaks SeedLink and DataLink with them.
"""
