"""The event that a signal sets."""

import os
import signal
import threading

from rawdaq.process.signals import stop_event


def test_a_signal_that_arrives_inside_the_lock_of_the_event_sets_it() -> None:
    """A command that waits in short steps holds this lock again and again."""
    with stop_event() as event:
        lock: threading.Condition = vars(event)["_cond"]
        with lock:
            os.kill(os.getpid(), signal.SIGINT)
        assert event.wait(10)
