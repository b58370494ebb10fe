"""``make faults``: real processes, data played fast, faults at random instants; afterwards every sample is looked for.

`catalogue` is what is done to them, `rig` the processes of one run, `check` the search, `device` and `component` the
programs that run, `relay` stands between them, `power` takes back what was not synced. Nothing of it is in the package.
"""
