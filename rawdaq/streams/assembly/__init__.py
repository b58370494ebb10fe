"""Readouts: what many senders measured at one instant, put together from their parts.

`assembly` holds the rules and reads no clock; `readout_format` is what a device's format has to say of its datagrams.
"""
