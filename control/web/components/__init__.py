"""The components of this machine: which there are, what they answer, what is wrong with them, and commands to them.

`watch` finds and asks them regularly, by `machine.catalog` and `machine.asking`; `shown` makes of it what the
page gets, with `history` and `events`. `places` knows where stations are, `orders` does what a person asks for.
"""
