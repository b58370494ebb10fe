"""Serves a ring to SeedLink, DataLink and ISI clients, by TCP, TLS and WebSocket, on ports that recognise what comes.

`service` opens and closes it all, `settings` says how; `connection` is one client's, `seedlink`, `datalink` and `isi`
what is spoken over it, `pages` what a browser sees.
"""
