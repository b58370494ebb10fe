"""What every writer of files needs: a thread for each disk, late fsync, locked files, mount points and remedies.

Archives, raw files and captures are written with these.
"""
