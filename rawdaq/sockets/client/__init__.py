"""Connections to servers, by TCP, TLS or WebSocket. `stream` has them, `websocket` alone knows the library websockets.

What the bytes mean, and when to connect again, is the business of those who use them.
"""
