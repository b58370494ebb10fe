"""What a new station needs: its device is asked, its streams are named, its station file and its metadata are written.

`control-rawdaq init` is all of it; see `rawdaq.control.setup.command`. `ssdaq` makes a station file of one of
ssdaq's configurations.
"""
