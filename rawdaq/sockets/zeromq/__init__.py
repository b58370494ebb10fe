"""ZMQ sockets: all addresses of a name are tried, connections are logged with a reason and a remedy, CURVE encrypts.

`socket` is one of any kind, `endpoint` one that a receiver reads; `dialling` finds the peer, `connection_state` says
whether it is there.
"""
