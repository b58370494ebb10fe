"""What a program of ours needs to be a process: runtime files, logs, signals, limits and its command socket.

Nothing here knows receivers, publishers or station files.
"""
