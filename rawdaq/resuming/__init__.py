"""Receivers that read a server and go on after a restart. `positions_file` keeps how far everything was delivered.

`receiver` is the base of those that use it.
"""

from rawdaq.resuming.receiver import ResumingReceiver

__all__ = ["ResumingReceiver"]
