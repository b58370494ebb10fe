"""Speaks ISI for a ring. `session` talks to one client, `spans` says what it gets, `reports` what reports say.

`names` finds what ISI calls the streams, since it knows no networks.
"""
