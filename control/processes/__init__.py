"""Components as processes: started, watched and stopped, one to a process or many together.

Commands call `start` and `stop`; `main` is the process, for all who start one; `groups` says which components share a
process.
"""
