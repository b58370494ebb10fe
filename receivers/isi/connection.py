"""One connection to an ISI server: a handshake and a request, and then only reading."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rawdaq.errors import RawdaqError, RemoteProtocolError, error_text
from rawdaq.protocols.isi import (
    Accepted,
    DataRequest,
    Ended,
    IsiClient,
    IsiName,
    IsiPacket,
    Place,
    Ready,
    Unreadable,
    Window,
)
from rawdaq.sockets.dial_endpoint import DialEndpoint, DialledProtocol
from rawdaq.sockets.dialling import connect_to_any

#: A server that wants another timeout than we is followed within these bounds. Heartbeats come after half of it, in
#: whole seconds, so that less is no use.
_MIN_TIMEOUT_S = 2.0
_MAX_TIMEOUT_S = 600.0
#: How long a server may look for the streams of a request; heartbeats do not count.
_ACCEPT_S = 60.0
_NO_CAUSE = "it does not say why"


@error_text("the server ended the connection: {cause}")
class ServerEnded(RawdaqError):
    """The server ended a transfer that has no end."""

    cause: str


@error_text("the server does not answer the request within {limit_s:g} s")
class NotAccepted(RawdaqError):
    """A server answers the handshake, and then sends heartbeats alone."""

    limit_s: float


@dataclass(eq=False, repr=False)
class NewStreams(RawdaqError):
    """The connection is made again because the server has more streams."""

    streams: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.streams) - 5} more" if len(self.streams) > 5 else ""
        return f"the server has new streams: {', '.join(self.streams[:5])}{more}; asking for them too"


class Asker(Protocol):
    """Who asks a server.

    Attributes:
        timeout_s: silence after which the connection is given up, as the server is told.
    """

    timeout_s: float

    def request(self, windows: Sequence[Window]) -> DataRequest:
        """Return a request for these windows."""
        ...

    def new_client(self) -> IsiClient:
        """Return the codec of a new connection."""
        ...


class Owner(Asker, Protocol):
    """What a connection for data needs of its receiver."""

    def begin(self, windows: Sequence[Window], timeout_s: float) -> RawdaqError | None:
        """Take note that packets of these streams follow; return why not, if so."""

    def take(self, packets: Sequence[IsiPacket], received_ns: int) -> bool:
        """Publish packets; return whether there was anything new."""
        ...

    def refuse(self, error: RemoteProtocolError) -> None:
        """Take note of a frame that cannot be used."""


class _Request(DialledProtocol):
    """A connection with its one request, which is sent at once."""

    def __init__(self, asker: Asker, windows: Sequence[Window]) -> None:
        super().__init__(asker.timeout_s)
        self._client = asker.new_client()
        self._client.send_data_request(asker.request(windows))

    def connected(self) -> None:
        """Send all that is ever sent: a server that sends data does not read."""
        self.transport.write(self._client.data_to_send())

    def follow(self, server_s: float) -> None:
        """Wait as long as the server says, within bounds."""
        if server_s and server_s != self.timeout_s:
            self.set_timeout(min(max(server_s, min(self.timeout_s, _MIN_TIMEOUT_S)), _MAX_TIMEOUT_S))

    def ended(self) -> None:
        """Report what is missing when the server closed in the middle of a frame."""
        try:
            self._client.receive_eof()
        except RemoteProtocolError as error:
            self.fail(error)
        else:
            self.fail(ServerEnded(_NO_CAUSE))


class IsiConnection(_Request):
    """A connection on which data come, for ever."""

    def __init__(self, owner: Owner, windows: Sequence[Window]) -> None:
        super().__init__(owner, windows)
        self._owner = owner
        self._acceptance = self._loop.call_later(_ACCEPT_S, self.fail, NotAccepted(_ACCEPT_S))

    def ask_again(self, new: NewStreams) -> None:
        """End this connection for another one at once."""
        self.redial_at_once = True
        self.fail(new)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._acceptance.cancel()
        super().connection_lost(exc)

    def received(self, chunk: bytes | memoryview) -> None:
        """Publish what is whole, also when something wrong follows it."""
        received_ns = time.time_ns()
        packets: list[IsiPacket] = []
        failure: RawdaqError | None = None
        try:
            for event in self._client.receive_data(chunk):
                if isinstance(event, IsiPacket):
                    packets.append(event)
                elif (failure := self._take(event)) is not None:
                    break
        except RemoteProtocolError as error:
            failure = error
        if packets and self._owner.take(packets, received_ns):
            self.is_useful = True
        if failure is not None:
            self.fail(failure)

    def _take(self, event: object) -> RawdaqError | None:
        """Take one event; return why the connection ends, if it does."""
        match event:
            case Ready(timeout_s):
                self.follow(timeout_s)
            case Accepted(windows):
                self._acceptance.cancel()
                return self._owner.begin(windows, self.timeout_s)
            case Unreadable(error):
                self._owner.refuse(error)
            case Ended():
                return ServerEnded(str(event))
            case _:
                raise AssertionError(event)
        return None


class _Listing(_Request):
    """A connection that ends when the server has said which streams it has.

    Attributes:
        names: of these streams, as the server writes them; None: it has not said it.
    """

    def __init__(self, asker: Asker, names: Sequence[IsiName]) -> None:
        # As few packets as a request can mean; none of them is read.
        super().__init__(asker, [Window(name, Place.NEWEST, Place.NEWEST) for name in names])
        self.names: list[IsiName] | None = None

    def received(self, chunk: bytes | memoryview) -> None:
        """Wait for the acknowledgement."""
        try:
            for event in self._client.receive_data(chunk):
                match event:
                    case Ready(timeout_s):
                        self.follow(timeout_s)
                    case Accepted(windows):
                        self.names = [window.name for window in windows]
                        return self.abort()
                    case _:
                        raise AssertionError(event)
        except RemoteProtocolError as error:
            self.fail(error)


async def list_streams(asker: Asker, names: Sequence[IsiName], host: str, port: int) -> list[IsiName]:
    """Return which streams a server has of those that *names* mean.

    Raises:
        OSError: there is no connection.
        RawdaqError: it does not answer as it should.
    """
    _, listing = await connect_to_any(lambda: _Listing(asker, names), host, port)
    try:
        await asyncio.wait([listing.closed])
    finally:
        listing.abort()
    if listing.names is None:
        raise listing.failure or ServerEnded(_NO_CAUSE)
    return listing.names


class IsiEndpoint(DialEndpoint):
    """Opens connections, each after what *prepare* does; its other arguments are those of `DialEndpoint`."""

    prepare: Callable[[], Awaitable[None]]

    async def connect(self, factory: Callable[[], DialledProtocol]) -> tuple[asyncio.BaseTransport, DialledProtocol]:
        """Return a new connection.

        Raises:
            OSError: there is none.
            RawdaqError: the server does not answer as it should.
        """
        await self.prepare()
        return await super().connect(factory)
