"""Alarms: rules in ``alarms.yaml`` say what must not be, and who is notified by log, command, e-mail or webhook.

`alarm_file` reads rules and targets (`settings`), `conditions` measures, `engine` decides when an alarm is raised and
cleared, `notice` words it, `targets` and `outlet` deliver, `memory` outlives a watch, `run` does all of it, `command`
is the command line.
"""
