"""The server's end of a connection, without sockets: TLS (`tls`), WebSocket and HTTP (`websocket`).

Who has a socket feeds them. `websocket` alone knows the library websockets, with `rawdaq.sockets.client.websocket`.
"""
