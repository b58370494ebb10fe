"""What a component says of itself to a monitor: made from its counters once a second, and pushed.

`report` makes it, `sender` sends it.
"""
