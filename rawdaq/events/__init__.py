"""What receivers of events have in common: `server` is their base, `inputs` where messages come from.

`sources` counts by sender, `formats` finds plug-ins, `settings` has the blocks of a station file, `connections` TCP.
"""
