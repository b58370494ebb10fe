"""The server's end of TLS: encrypted bytes in, plain bytes out, and back; it touches no socket."""

import contextlib
import ssl
from pathlib import Path
from typing import Final

from rawdaq.errors import ComponentError, RemoteProtocolError

#: The first byte of a TLS connection: a handshake record. No other protocol that is served begins with it.
FIRST_BYTE: Final = 0x16
_READ_BYTES = 64 << 10


class TlsBroken(RemoteProtocolError):
    """The other side broke TLS, or refuses our certificate; carries the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Return the reason."""
        return f"TLS: {self.reason}"


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what all TLS connections of a server share.

    Args:
        certificate: a PEM file with the server's certificate, and those that vouch for it.
        key: a PEM file with its private key.

    Raises:
        ComponentError: they cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ComponentError(
            f"the certificate {certificate} with the key {key} cannot be used: {reason}; both are PEM files that "
            "belong together, and this user may read them"
        ) from error
    return context


class TlsServer:
    """One connection.

    Args:
        context: what all of them share.

    Attributes:
        is_over: whether the client has said that it sends nothing more.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_ready = False
        self.is_over = False

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now."""
        return self._outgoing.read()

    def receive_data(self, data: bytes) -> bytes:
        """Return what *data* says, decrypted; `data_to_send` after it.

        Raises:
            TlsBroken: the client broke the protocol.
        """
        self._incoming.write(data)
        plain: list[bytes] = []
        try:
            if not self._is_ready:
                self._tls.do_handshake()
                self._is_ready = True
            while part := self._tls.read(_READ_BYTES):
                plain.append(part)
            self.is_over = True
        except ssl.SSLWantReadError:  # no more has come
            pass
        except ssl.SSLZeroReturnError:
            self.is_over = True
        except ssl.SSLError as error:
            raise TlsBroken(error.reason or str(error)) from error
        return b"".join(plain)

    def close(self) -> bytes:
        """Return the farewell; nothing can be sent any more."""
        if self._is_ready:
            with contextlib.suppress(ssl.SSLError):  # which waits for the client's, or cannot be said any more
                self._tls.unwrap()
        return self._outgoing.read()

    def send(self, data: bytes) -> bytes:
        """Return *data* as it is sent; nothing before the handshake is over, when there is nothing to say either.

        Raises:
            TlsBroken: the client broke the protocol.
        """
        if self._is_ready:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                raise TlsBroken(error.reason or str(error)) from error
        return self._outgoing.read()
