"""rawdaq-dump for what is no waveform: logs, monitoring, events, readouts and telemetry, as lines, JSON or a table.

`run` reads and chooses, `lines` and `table` show.
"""
