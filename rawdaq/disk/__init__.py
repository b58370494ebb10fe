"""What every writer of files needs: threads of each disk, late fsync, locked files, mount points and remedies.

Archives, raw files and captures are written with these.
"""
