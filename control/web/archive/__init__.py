"""The past of a stream from its archives: columns for helicorders, and records as they are.

`columns` computes, in threads and never twice; `records` collects for a download. Both end where a limit says.
"""
