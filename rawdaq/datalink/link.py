"""`DataLink`: reads from and writes to a DataLink server."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rawdaq.datalink.reader import Reader
from rawdaq.datalink.writer import Writer

if TYPE_CHECKING:
    from rawdaq.datalink.blocking import BlockingDataLink


class DataLink(Reader, Writer):
    """A client of a DataLink server.

    ::

        async with DataLink("tcp://localhost:16000") as link:
            await link.match("^FDSN:XX_")
            async for packet in link.stream(start="earliest"):
                ...

    ``with`` instead of ``async with`` gives the same methods without coroutines: a
    `rawdaq.datalink.blocking.BlockingDataLink`. A stream can be left at any time; packets that came meanwhile are not
    lost, the next stream begins with them. Several tasks may use one link.

    Args:
        url: ``tcp://``, ``tls://``, ``ws://`` or ``wss://`` and HOST:PORT, of the latter two with a path.
        client_id: ``program:user:pid:architecture`` as the server shows it; by default that of this process.
        timeout_s: the longest silence of the server while a connection, an answer, or room for more is awaited.
        ca_file: certificates that are trusted instead of the system's (``tls://`` and ``wss://``).
        user: authenticate as this user when connecting.
        password: the user's password.
        token: authenticate with this JSON web token instead.

    Raises:
        InvalidValue: *url* is no such address.
        CredentialExposed: a password or token is given for an unencrypted connection to another machine.
    """

    _blocking: "BlockingDataLink | None" = None

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __enter__(self) -> "BlockingDataLink":
        """Connect, and return the same without coroutines."""
        from rawdaq.datalink.blocking import BlockingDataLink

        self._blocking = BlockingDataLink(self)
        self._blocking.open()
        return self._blocking

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        if self._blocking is not None:
            self._blocking.close()
