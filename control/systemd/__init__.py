"""Units of systemd for the components of a station: written, enabled, started, and taken back.

`control-rawdaq systemd` is all of it; see `rawdaq.control.systemd.command`.
"""
