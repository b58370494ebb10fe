"""ZMQTCPPublisher: live streams for any number of ZMQ subscribers, each with its own count of drops.

`publisher` listens or dials; `connection` is one subscriber.
"""

from rawdaq.publishers.zmq_pub.publisher import ZMQTCPPublisher

__all__ = ["ZMQTCPPublisher"]
