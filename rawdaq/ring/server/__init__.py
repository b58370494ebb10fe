"""Serves a ring to SeedLink and DataLink clients, by TCP, TLS and WebSocket, on ports that recognise what comes.

`service` opens and closes it all, `settings` says how; `connection` is one client's, `seedlink` and `datalink` what is
spoken over it, `pages` what a browser sees.
"""
