"""``control-rawdaq status`` and ``list``: what components do, and what is wrong with them.

`rows` asks, and has `rawdaq.control.health` judge; `tables` shows, with `columns` that fit; `command` is the command
line.
"""
