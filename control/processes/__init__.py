"""Components as processes: started, watched and stopped, one to a process or many together.

`supervisor` and `sharing` are what commands call; `component` and `group` are the processes themselves.
"""
