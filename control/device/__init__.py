"""``rawdaq-device``: a test device that plays a seismogram, a file, a sine or a capture.

`command` is the command line; `signals` makes the samples, `player` feeds them in time, `replay` plays captures.
"""
