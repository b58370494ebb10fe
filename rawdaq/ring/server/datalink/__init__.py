"""Speaks DataLink for a ring: `session` talks to one client, `view` says what it gets, `info` what INFO says."""
