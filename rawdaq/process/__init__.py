"""What a program needs to be a process: runtime files, logs, signals, limits, and answers to commands.

Nothing here knows receivers, publishers or station files.
"""
