"""Live streams for viewers: what came lately is in memory, and goes out once for all who look at it.

`samples` and `columns` keep the past of a stream, `blocks` is the form of a message, `track` one stream in one
form; `feed` reads publishers, `hub` brings both together, `viewer` is one client. What is computed here does no I/O.
"""
