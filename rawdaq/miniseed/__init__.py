"""Packets to miniSEED records and back: no file of an archive, no socket and no clock is known here.

Packets become records in `maker` (all streams), `stream` (one), `pending`, `series` and `packer`; records are read by
`header`, `reader` and `file`; `format` and `encodings` say what records look like.
"""
