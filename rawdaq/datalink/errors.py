"""What can go wrong with a DataLink server, besides what `rawdaq.protocols.datalink.errors` has.

::

    DataLinkError
    ├── ServerRefused       the server answered with an error, in these words
    ├── ConnectionLost      there is no connection (any more)
    ├── NoAnswer            the server did not answer in time (also a TimeoutError)
    └── CredentialExposed   a password would leave this machine unencrypted
"""

from dataclasses import dataclass

from rawdaq.errors import RawdaqError, error_text


class DataLinkError(RawdaqError):
    """The root of these errors."""


@dataclass(eq=False, repr=False)
class ServerRefused(DataLinkError):
    """The server answered with ERROR.

    Args:
        command: what was asked.
        text: the server's words.
    """

    command: str
    text: str

    def __str__(self) -> str:
        return f"the server refused {self.command}: {self.text or 'it does not say why'}"


@error_text("{address}: {reason}")
class ConnectionLost(DataLinkError):
    """There is no connection to the server.

    Args:
        address: the server's address.
        reason: why, with the remedy where there is one.
    """

    address: str
    reason: str


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
        return f"{self.address}: no {self.what} within {self.timeout_s:g} s"


@error_text("{address} is not encrypted: passwords and tokens are sent to tls:// and wss:// addresses only")
class CredentialExposed(DataLinkError):
    """A password or token would be sent without encryption to another machine."""

    address: str


@dataclass(eq=False, repr=False)
class WriteInterrupted(DataLinkError):
    """Not all packets of a call arrived for sure.

    Args:
        packet_ids: the ids of those that did, which are the first ones.
        reason: what went wrong.
    """

    packet_ids: list[int]
    reason: str

    def __str__(self) -> str:
        return f"{len(self.packet_ids)} packets are acknowledged, then: {self.reason}"
