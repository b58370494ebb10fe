"""DataLinkReceiver: what a DataLink server, such as ringserver, has and gets.

`receiver` publishes it, `endpoint` keeps the connection, `resume` finds where to go on, `state` knows it on disk.
"""

from rawdaq.receivers.datalink.receiver import DataLinkReceiver
from rawdaq.receivers.datalink.resume import check_expression

__all__ = ["DataLinkReceiver", "check_expression"]
