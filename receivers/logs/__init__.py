"""LogReceiver: log records of any programs, by TCP and by ZMQ.

`receiver` listens and publishes, `connection` is one sender by TCP, `messages` reads those that come by ZMQ.
"""

from rawdaq.receivers.logs.receiver import LogReceiver

__all__ = ["LogReceiver"]
