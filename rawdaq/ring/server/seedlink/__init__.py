"""Speaks SeedLink for a ring.

`session` talks to one client, `starts` finds where its requests begin, `view` says what it gets, `info` what INFO says,
`unconverted` counts records that cannot be what is asked for.
"""
