"""Sends the log of any Python program to a `LogReceiver`: ``from rawdaq.log import SocketLogHandler``.

It needs the standard library only; programs that run no rawdaq component use it too.
"""

from rawdaq.log.handler import SocketLogHandler

__all__ = ["SocketLogHandler"]
