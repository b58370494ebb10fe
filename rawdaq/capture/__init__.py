"""What a device sent, byte for byte, in files that `rawdaq-device --replay` plays again.

`recorder` takes the bytes of connections, `writer` has the files on disk, `file` is their format.
"""
