"""Speaks DataLink for a ring. `session` talks to one client, `view` says what it gets, `info` what INFO says.

Packets that clients write go into the ring; those of any type may be written, not only records.
"""
