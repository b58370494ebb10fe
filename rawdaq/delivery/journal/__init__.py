"""Delivery behind a journal on disk: what must not be lost is written first, and delivered from memory or from there.

`journal` is the stage that writes; `outlet` is what stands behind it for each publisher: `queue` gives it packets,
`ledger` knows which of their samples are in delivered records, `cursor` moves its cursor. See
``docs/decisions/journal.md``.
"""
