"""What a device sent, byte for byte, in files that `rawdaq-device --replay` plays again.

`recorder` records connections and datagrams, `writer` writes the files, `file` is their format.
"""
