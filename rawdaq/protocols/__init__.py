"""Codecs: bytes in, events out; values in, bytes out. No socket, no clock, no thread, and both roles of each protocol.

One contract for all of them::

    for event in peer.receive_data(chunk):   # any number of bytes, cut anywhere
        ...                                  # events are frozen values
    writer.write(peer.data_to_send())        # what is to be sent by now; taken only once
    peer.receive_eof()                       # the peer closed: raises if that was in the middle of something

* ``receive_data`` is a generator: it yields each event as it becomes whole. On what the protocol does not allow it
  raises a `RemoteProtocolError` subclass that carries the numbers, after it has yielded everything that was whole
  before. From then on the codec is dead and raises the same error again.
* ``send_<thing>`` queues one message; a wrong call raises `LocalProtocolError` at once and queues nothing.
* A codec keeps at most the one incomplete message that it is reading, and that has a limit with a reason.
* State is the next handler. A handler takes what it needs or returns None for "not all here yet", and loses nothing.
"""
