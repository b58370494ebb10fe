"""Sockets: listening, dialling with a back-off, datagrams and ZMQ, all held while a queue is full.

Here are transport, reconnection and encryption only; what the bytes mean stands in `rawdaq.protocols`.
"""
