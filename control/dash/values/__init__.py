"""What the dashboard shows, as values: made of statuses and reports, without I/O and without a screen.

`from_status` and `from_report` make the components of `board`, `past` completes them by how they were before, `trace`
keeps the last minute of streams.
"""
