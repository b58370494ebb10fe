"""Files of whole records below one folder: `archive.Archive` appends to them, never twice.

`layout` says which file a record belongs in, `file` is one of them, `open_files` are those that are open.
"""
