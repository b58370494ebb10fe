"""What touches a disk: one thread for each, late fsync, locks, and whether a folder is on a mounted disk.

Who writes files (archives, raw files, captures) does it through these.
"""
