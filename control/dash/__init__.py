"""``control-rawdaq dash``: components, streams, traces and logs in a terminal, renewed each second.

`local` and `monitor` are where `values` come from; `rows` and `detail` make lines of these, also without a screen.
`view` is what a person has chosen, `app` the screen, and `once` prints.
"""
