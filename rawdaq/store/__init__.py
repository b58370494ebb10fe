"""A log on disk of entries with a stream and a time, which survives kills, power cuts and damaged bytes.

`store.Store` is the entrance for plain threads, `async_store.AsyncStore` for an event loop, `inspect.StoreView` for
another process that only looks. `writer`, `durability`, `cursors`, `retention` and `opening` are its parts; `segments`
is what is read, `format` what the bytes mean.
"""
