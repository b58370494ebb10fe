"""Connections to servers, by TCP, TLS or WebSocket. `stream` has them, `websocket` is the client's end of the latter.

What the bytes mean, and when to connect again, is the business of those who use them.
"""
