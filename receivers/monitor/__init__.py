"""MonitorReceiver: what all components say of themselves, who is offline, and the newest of each in a table.

`receiver` listens and publishes, `table` remembers.
"""

from rawdaq.receivers.monitor.receiver import MonitorReceiver

__all__ = ["MonitorReceiver"]
