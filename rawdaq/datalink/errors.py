"""What can go wrong with a DataLink server, besides what `rawdaq.protocols.datalink.errors` has.

::

    DataLinkError
    ├── ServerRefused       the server answered with an error, in these words
    ├── ConnectionLost      there is no connection (any more)
    ├── NoAnswer            the server did not answer in time (also a TimeoutError)
    └── CredentialExposed   a password would leave this machine unencrypted
"""

from rawdaq.errors import RawdaqError


class DataLinkError(RawdaqError):
    """The root of these errors."""


class ServerRefused(DataLinkError):
    """The server answered with ERROR.

    Args:
        command: what was asked.
        text: the server's words.
    """

    def __init__(self, command: str, text: str) -> None:
        super().__init__(command, text)
        self.command, self.text = command, text

    def __str__(self) -> str:
        """Return both."""
        return f"the server refused {self.command}: {self.text or 'it does not say why'}"


class ConnectionLost(DataLinkError):
    """There is no connection to the server.

    Args:
        address: the server's address.
        reason: why, with the remedy where there is one.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        """Return both."""
        return f"{self.address}: {self.reason}"


class NoAnswer(DataLinkError, TimeoutError):
    """The server did not answer in time.

    Args:
        address: the server's address.
        what: what was awaited.
        timeout_s: for how long.
    """

    def __init__(self, address: str, what: str, timeout_s: float) -> None:
        super().__init__(address, what, timeout_s)
        self.address, self.what, self.timeout_s = address, what, timeout_s

    def __str__(self) -> str:
        """Return all of it."""
        return f"{self.address}: no {self.what} within {self.timeout_s:g} s"


class CredentialExposed(DataLinkError):
    """A password or token would be sent without encryption to another machine."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address

    def __str__(self) -> str:
        """Return the address and the remedy."""
        return f"{self.address} is not encrypted: passwords and tokens are sent to tls:// and wss:// addresses only"


class WriteInterrupted(DataLinkError):
    """Not all packets of a call arrived for sure.

    Args:
        packet_ids: the ids of those that did, which are the first ones.
        reason: what went wrong.
    """

    def __init__(self, packet_ids: list[int], reason: str) -> None:
        super().__init__(packet_ids, reason)
        self.packet_ids, self.reason = packet_ids, reason

    def __str__(self) -> str:
        """Return how many arrived, and the reason."""
        return f"{len(self.packet_ids)} packets are acknowledged, then: {self.reason}"
