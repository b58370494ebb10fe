"""The processes that a measurement starts: devices, receivers, readers of what they deliver, and plain baselines.

Each prints JSON lines for the process that measures, and waits for lines on its standard input.
"""
