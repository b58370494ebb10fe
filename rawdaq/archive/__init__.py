"""Files of whole records below one folder: `archive.Archive` appends each record once.

`layout` says which file a record belongs in, `file` is one file, `file_cache` the files that are open.
`extent` says in words which samples some packets or records hold.
"""
