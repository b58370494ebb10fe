"""Every error that rawdaq raises on purpose; each room adds its own leaves.

::

    RawdaqError
    ├── InvalidValue            a time, a stream id or a packet that cannot be (also a ValueError)
    ├── ProtocolError
    │   ├── LocalProtocolError  we asked a codec for something that its protocol cannot say
    │   └── RemoteProtocolError the peer sent something that its protocol does not allow
    ├── ConfigError             the station file is wrong (rawdaq.config.files)
    ├── UnknownClass            no receiver or publisher of that name is installed (rawdaq.config.registry)
    ├── ComponentError          a component cannot start or had to stop; the text says cause and remedy
    ├── PublisherUnavailable    a publisher cannot deliver now and wants the batch again (rawdaq.publisher)
    └── CommandError            a running component refused a command, or did not answer (rawdaq.control)
        └── NoAnswer            it did not answer

``except RawdaqError`` therefore means: an outcome we foresaw. Any other exception is a bug.
"""


class RawdaqError(Exception):
    """The root of every error that rawdaq raises on purpose."""


class InvalidValue(RawdaqError, ValueError):
    """A value that cannot exist: a time out of range, a malformed stream id, samples of an unknown type."""


class ProtocolError(RawdaqError):
    """A protocol was broken; the subclass says by which side."""


class LocalProtocolError(ProtocolError):
    """We asked a codec for something that its protocol cannot say."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that its protocol does not allow."""


class ComponentError(RawdaqError):
    """A component cannot start, or had to stop; the text names the cause and the remedy."""


class CommandError(RawdaqError):
    """A running component refused a command, or did not answer."""


class NoAnswer(CommandError):
    """A running component did not answer."""
