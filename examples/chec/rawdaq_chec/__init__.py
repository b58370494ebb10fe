"""Formats of the CHEC telescope camera for rawdaq.

`trigger`, `timestamp` and `slow_signal` read what the camera sends, `logs` and `monitor` what its older programs send;
`protobuf` has as much of that encoding as they need.
"""
