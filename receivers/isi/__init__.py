"""ISIReceiver: streams of an ISI server, as IDA's data systems are.

`receiver` publishes them and `connection` talks to the server; `plan` knows what to ask for and `feed` what came twice,
from `positions`, which are kept in a file.
"""

from rawdaq.receivers.isi.receiver import ISIReceiver

__all__ = ["ISIReceiver"]
