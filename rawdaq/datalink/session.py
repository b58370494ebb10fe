"""What every use of a DataLink server begins with: connect, identify, authenticate, ask; and how it ends."""

import asyncio
import contextlib
import getpass
import os
import platform
import re
from pathlib import Path
from typing import Final

from rawdaq.datalink.connection import DataLinkConnection
from rawdaq.datalink.errors import ConnectionLost, CredentialExposed, DataLinkError
from rawdaq.errors import ProtocolError
from rawdaq.protocols.datalink import (
    AuthToken,
    AuthUserPass,
    Bye,
    Command,
    EndStream,
    Identify,
    Identity,
    IdStyle,
    Info,
    InfoReply,
    InfoType,
    Ok,
    Reply,
    ServerInfo,
    read_info,
)
from rawdaq.sockets.client.address import ServerAddress

#: The schemes of addresses, and the port of each that need not be written.
PORTS: Final = {"tcp": 16000, "tls": 16500, "ws": 80, "wss": 443, "datalink": 16000, "datalinks": 16500}

#: ringserver cuts a writer that is silent for 10 s when it had to wait for the data of its last packet.
KEEP_ALIVE_S: Final = 5.0
_IDLE_S: Final = 600.0  # a client that only asks is cut after an hour
_CLIENT_ID_BYTES: Final = 250


def default_client_id() -> str:
    """Return ``program:user:pid:architecture`` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    text = f"rawdaq:{user}:{os.getpid()}:{platform.system()}-{platform.machine()}"
    return re.sub(r"[^!-~]", "_", text)[:_CLIENT_ID_BYTES]


def value_of(reply: Reply) -> int:
    """Return the value of an answer that is OK."""
    return reply.value if isinstance(reply, Ok) else 0


class Session:
    """A client of a DataLink server; `rawdaq.datalink.DataLink` has its arguments."""

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        timeout_s: float = 10.0,
        ca_file: Path | None = None,
        user: str = "",
        password: str = "",
        token: str = "",
    ) -> None:
        self.address = ServerAddress.parse(url, PORTS)
        self.client_id = default_client_id() if client_id is None else client_id
        self.timeout_s = timeout_s
        self._ca_file = ca_file
        self._credential = AuthToken(token) if token else AuthUserPass(user, password) if user else None
        self._check_credential(self._credential)
        self._connection: DataLinkConnection | None = None
        self._keeper: asyncio.Task[None] | None = None

    def _check_credential(self, credential: object) -> None:
        if credential is not None and not (self.address.is_encrypted or self.address.is_loopback):
            raise CredentialExposed(str(self.address))

    @property
    def connection(self) -> DataLinkConnection:
        """The connection.

        Raises:
            ConnectionLost: there is none.
        """
        if self._connection is None:
            raise ConnectionLost(str(self.address), "not connected; enter the link with `async with` or `with`")
        return self._connection

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to a server that has identified itself."""
        connection = self._connection
        return connection is not None and connection.error is None and connection.codec.identity is not None

    @property
    def identity(self) -> Identity:
        """Who the server is and what it can.

        Raises:
            ConnectionLost: there is no connection.
        """
        identity = self.connection.codec.identity
        if identity is None:
            raise ConnectionLost(str(self.address), "the server has not identified itself")
        return identity

    @property
    def style(self) -> IdStyle:
        """How the server names streams.

        Raises:
            ConnectionLost: there is no connection.
        """
        return IdStyle.FDSN if self.identity.protocol >= (1, 1) else IdStyle.SEED

    async def open(self) -> None:
        """Connect, identify, and authenticate where that is wanted.

        Raises:
            DataLinkError: it is impossible; the text says why and what to do.
            RemoteProtocolError: the other side is no DataLink server.
        """
        await self.aclose()
        self._connection = DataLinkConnection(self.address, self.timeout_s)
        try:
            await self._connection.open(self._ca_file)
            await self.identify()
            if self._credential is not None:
                await self._authenticate(self._credential)
        except BaseException:
            self._connection.abort()
            await self.aclose()
            raise
        self._keeper = asyncio.create_task(self._keep_alive(self._connection), name=f"keep-alive {self.address}")

    async def aclose(self) -> None:
        """Send what is queued and close the connection; may be called twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(DataLinkError, ProtocolError):
                connection.say(Bye())
            await connection.aclose(self.timeout_s)

    async def _keep_alive(self, connection: DataLinkConnection) -> None:
        """Send ID when nothing was sent for too long; its answer also shows that the server is there."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(DataLinkError, ProtocolError):
            while True:
                limit_s = KEEP_ALIVE_S if connection.written else _IDLE_S
                silent_s = loop.time() - connection.sent_s
                if silent_s >= limit_s:
                    await connection.ask(Identify(self.client_id))
                    silent_s = 0.0
                await asyncio.sleep(min(limit_s - silent_s, KEEP_ALIVE_S))

    async def _ask(self, command: Command) -> Reply:
        """Return the answer to a command that would end streaming without a word."""
        await self.end_stream()
        return await self.connection.ask(command)

    async def end_stream(self) -> None:
        """Let no more packets come; those that came are kept for the next stream.

        Raises:
            DataLinkError: the connection has ended.
        """
        if self.connection.codec.is_streaming:
            await self.connection.ask(EndStream())

    async def identify(self, client_id: str | None = None) -> Identity:
        """Say who we are; return who the server is and what it can.

        Args:
            client_id: ``program:user:pid:architecture``; by default that of before.

        Raises:
            DataLinkError: there is no answer, or no connection.
        """
        if client_id is not None:
            self.client_id = client_id
        await self.connection.ask(Identify(self.client_id))
        return self.identity

    async def auth_userpass(self, user: str, password: str) -> Identity:
        """Authenticate with a password; return what the server now lets us do.

        Raises:
            ServerRefused: it is wrong; all rights are gone then.
            CredentialExposed: the connection is not encrypted.
            DataLinkError: there is no answer, or no connection.
        """
        return await self._authenticate(AuthUserPass(user, password))

    async def auth_jwt(self, token: str) -> Identity:
        """Authenticate with a JSON web token; return what the server now lets us do.

        Raises:
            ServerRefused: it is wrong; all rights are gone then.
            CredentialExposed: the connection is not encrypted.
            DataLinkError: there is no answer, or no connection.
        """
        return await self._authenticate(AuthToken(token))

    async def _authenticate(self, credential: AuthUserPass | AuthToken) -> Identity:
        self._check_credential(credential)
        await self._ask(credential)
        self._credential = credential
        return await self.identify()

    async def info(self, kind: InfoType | str = InfoType.STATUS, expression: str | None = None) -> ServerInfo:
        """Return what the server says of itself.

        Args:
            kind: ``STATUS``, ``STREAMS`` or ``CONNECTIONS``.
            expression: selects streams or connections.

        Raises:
            ServerRefused: CONNECTIONS, to a client that is not trusted; the server closes the connection.
            RemoteProtocolError: the answer is no such document.
            DataLinkError: there is no answer, or no connection.
        """
        reply = await self.connection.ask(Info(InfoType(kind), expression))
        return read_info(reply.xml if isinstance(reply, InfoReply) else b"")
