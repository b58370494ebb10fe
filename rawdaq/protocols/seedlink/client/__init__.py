"""The client's side of SeedLink: `SeedLinkClient` talks to one server.

`connection` has it, `events` what it yields, and `commands` what waits for a reply.
"""
