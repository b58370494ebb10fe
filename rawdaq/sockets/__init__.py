"""Sockets: listening, dialling with back-off, datagrams and ZMQ, all held while a queue is full.

Here are transport and reconnection only; what the bytes mean is the business of `rawdaq.protocols`.
"""
