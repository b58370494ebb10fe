"""``control-rawdaq doctor``: why there is no data, from the station file over the device to the subscribers.

`case` gathers what can be known of a component, with `probe` of its device; `diagnosis`, with `receiving` and
`delivering`, judges it by the rule of `rawdaq.control.health`; `finding` has the values, `command` is the command line.
"""
