"""ssdaq's four subscribers, by name and with the same constructors: programs change one import.

`basic` and `aio` read messages of any publisher, `writers` store them; `rawdaq.Subscriber` is the way for waveforms.
"""

from rawdaq.subscribers.aio import AsyncSubscriber
from rawdaq.subscribers.basic import BasicSubscriber
from rawdaq.subscribers.writers import AsyncWriterSubscriber, WriterSubscriber

__all__ = ["AsyncSubscriber", "AsyncWriterSubscriber", "BasicSubscriber", "WriterSubscriber"]
