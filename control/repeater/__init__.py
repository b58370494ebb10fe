"""The stream repeater as a program: one ZMQ stream in, many out, configured and driven over REST.

`config` checks what requests and files say, `run` makes a receiver and its outputs of it, `machine` knows the states,
`api` the requests, and `command` the command line.
"""
