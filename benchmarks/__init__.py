"""What rawdaq costs: `parts` has what is measured, `programs` the processes that a measurement starts.

``python -m benchmarks`` prints all of it as tables, ``python -m benchmarks.check`` compares it with ``limits.json``.
"""
