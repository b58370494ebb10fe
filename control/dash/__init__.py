"""``control-rawdaq dash``: components, streams, traces and logs in a terminal, renewed each second.

`board` has the values, made by `from_status` and `from_report`, which `past` completes; `rows` and `detail` make lines
of them, all without I/O. `local` and `monitor` are where values come from, `app` is the screen, and `once` prints.
"""
