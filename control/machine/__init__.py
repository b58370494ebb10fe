"""The components of this machine, for those that show them: which there are, what they answer, their streams and logs.

`catalog` finds them, `asking` asks them over kept sockets, `sources` says where the live data of their streams are;
`feed` reads these and `columns` keeps what a screen can show of them. `log` reads their logs.
"""
