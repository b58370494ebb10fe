"""TelemetryReceiver: values of a database, a web service, a command or a file, asked for again and again.

`receiver` asks and publishes, `sources` and `database` answer, `values` finds the values, `secret` knows passwords.
"""

from rawdaq.receivers.telemetry.receiver import TelemetryReceiver

__all__ = ["TelemetryReceiver"]
