"""Formats of a telescope camera, as an example of a package that brings its own: see ``pyproject.toml``.

`slow_signal` reads the datagrams of its slow readout, and sends readouts as the programs of the camera know them.
"""
