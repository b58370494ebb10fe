"""People and programs talk to running components, and look at what they send.

`cli` is ``control-rawdaq``, `client` sends one command; each of the other programs has a room of its own.
"""
