"""Prometheus metrics of all components of a machine, by ``control-rawdaq metrics`` or by the web process.

`catalogue` is the list of names, `exposition` makes the text from what ``status`` shows, `server` answers scrapes,
`command` is the command line.
"""
