"""The server's side of SeedLink: `SeedLinkServer` talks to one client.

`connection` has it and `events` what it yields; `conversation` answers commands, `handshake` makes requests of those
that choose stations, `answers` writes what INFO asks for.
"""
