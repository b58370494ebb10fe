"""Live streams for viewers: what came lately is in memory, and goes out once for all who look at it.

`samples` keeps the past of a stream, as `machine.columns` does; `blocks` is the form of a message, `track` one stream
in one form; `hub` brings these and what publishers send together, `viewer` is one client. What is computed here does no
I/O.
"""
