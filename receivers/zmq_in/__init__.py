"""ZMQReceiver: ZMQ streams of another rawdaq, of detectors, or any bytes to pass on.

`receiver` reads and publishes; `arrays` makes packets of a detector's arrays, `messages` reads what is no waveform.
"""

from rawdaq.receivers.zmq_in.receiver import ZMQReceiver

__all__ = ["ZMQReceiver"]
