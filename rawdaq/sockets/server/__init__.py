"""The server's end of a connection, without sockets: TLS (`tls`), WebSocket and HTTP (`websocket`).

Who has a socket feeds them. `rawdaq.sockets.websocket` is what both ends of a WebSocket have in common.
"""
