"""ZMQPublisher: publishes on any ZMQ endpoint, encrypted where asked, by libzmq.

::

    live: {class: ZMQPublisher, bind: "tcp://*:9007", curve: {key: keys/hub.key_secret, clients: keys/clients}}

Key files are made by ``zmq.auth.create_certificates``, see `rawdaq.sockets.zeromq.curve`. `ZMQTCPPublisher` is the
other publisher for ZMQ: it counts every message that a subscriber is too slow for, which libzmq drops without a word.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import zmq
from pydantic import AfterValidator, Field

from rawdaq.config.curve import CurveSettings, curve_files
from rawdaq.delivery.items import count_of
from rawdaq.errors import InvalidValue
from rawdaq.messages import frames as message_frames
from rawdaq.messages.message import Message
from rawdaq.packet import Packet, PacketRun
from rawdaq.protocols.message import encode, encode_run
from rawdaq.publisher import OverflowPolicy, Publisher, PublisherUnavailable
from rawdaq.sockets.zeromq.socket import ZmqSocket, check_zmq_address, exclusive_addresses

_YIELD_MESSAGES = 1000  # after so many the loop gets a turn
_STUCK_S = 5.0  # how long connected peers may take no message before that is a failure
_LINGER_S = 1.0  # how long the last messages of a PUB socket may take on stop

_Address = Annotated[str, AfterValidator(check_zmq_address)]


class ZMQPublisher(Publisher):
    """Publishes packets and messages by ZMQ from a PUB or a PUSH socket; plain bytes go out unchanged as one frame.

    ``PUB`` sends every message to every subscriber that is connected, and drops, uncounted, what one is too slow for.
    ``PUSH`` sends each message to one of the PULL sockets, in turn; while none is connected or has room, messages wait
    in this publisher's queue, and then the device waits.

    Args:
        name: how log lines and `status` call it.
        logger: parent of its logger.
        bind: the address that others connect to, such as ``tcp://*:9007``, ``tcp://eth0:9007``, ``tcp://[::1]:9007``
            or ``ipc:///run/rawdaq/live``.
        connect: instead, the address of a program to connect to.
        type: ``PUB`` or ``PUSH``.
        curve: key files that encrypt the connection: ``key`` is ours; with `bind` ``clients`` may be a folder of the
            keys of those that may connect, with `connect` ``server_key`` is the key of the other program.
        high_water_mark: messages that may wait in ZMQ for each peer.
    """

    takes_runs = True
    takes_messages = True

    def __init__(
        self,
        name: str = "ZMQPublisher",
        logger: logging.Logger | None = None,
        *,
        bind: _Address | None = None,
        connect: _Address | None = None,
        type: Literal["PUB", "PUSH"] = "PUB",
        curve: CurveSettings | None = None,
        high_water_mark: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000,
    ) -> None:
        super().__init__(name, logger)
        if reason := self.check_options({"bind": bind, "connect": connect, "curve": curve}):
            raise InvalidValue(reason)
        self.type = type
        self._is_push = type == "PUSH"
        if not self._is_push:  # while it is paused it has no peers, and no other publisher is to wait for that
            self.overflow, self.overflows_only_when_paused = OverflowPolicy.DROP_OLDEST, True
        self._high_water_mark = high_water_mark
        self._zmq = ZmqSocket(
            bind or connect or "",
            bind is not None,
            self.log,
            curve_files(curve, is_bound=bind is not None),
            needs_peer=self._is_push or bind is None,
        )
        self._socket: zmq.Socket[bytes] | None = None
        self._messages = 0
        self._bytes = 0

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> str | None:
        """Return why *options* contradict each other; None when they do not."""
        bind, connect = options["bind"], options["connect"]
        if (bind is None) == (connect is None):
            return "give either `bind` or `connect`, such as bind: tcp://127.0.0.1:9007"
        if connect is not None and "*" in connect:
            return f"{connect} is an address to bind: name the machine to connect to"
        try:
            curve_files(options["curve"], is_bound=bind is not None)
        except InvalidValue as error:
            return str(error)
        return None

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> str | None:
        """Return the address that only one publisher can bind, None without one."""
        addresses = exclusive_addresses([options["bind"]] if options["bind"] else [])
        return addresses[0] if addresses else None

    @property
    def address(self) -> str:
        """The ZMQ address; once bound, with the port that the system chose."""
        return self._zmq.address

    async def open(self) -> None:
        """Bind, or begin to connect.

        Raises:
            ComponentError: the address or a key file cannot be used; the text names the cause and the remedy.
        """
        kind = zmq.PUSH if self._is_push else zmq.PUB
        self._socket = await self._zmq.open(None, kind, {zmq.SNDHWM: self._high_water_mark})
        self.log.info(
            "%s %s as %s", "publishing on" if self._zmq.is_bound else "publishing to", self.address, self.type
        )

    async def watch(self) -> None:
        """Log connections, and why there is none."""
        await self._zmq.run()
        await super().watch()

    async def deliver(self, batch: Sequence[Packet | PacketRun | Message | bytes]) -> None:
        """Send *batch*; a PUSH socket waits until its peers take it.

        Raises:
            PublisherUnavailable: no peer of a PUSH socket is connected, or none takes anything.
        """
        sent = 0
        for item in batch:
            for frames in _frames(item):
                while not self._send(frames, sent):
                    await self._wait_for_room(sent)
                sent += 1
                if sent % _YIELD_MESSAGES == 0:
                    await asyncio.sleep(0)

    def try_deliver(self, batch: Sequence[Packet | PacketRun | Message | bytes]) -> bool:
        """Send *batch* if it is not much, and as long as the peers of a PUSH socket take it."""
        if sum(map(count_of, batch)) > _YIELD_MESSAGES or self._is_alone:
            return False
        sent = 0
        for item in batch:
            for frames in _frames(item):
                if not self._send(frames, sent):
                    raise PublisherUnavailable("the peers are full", sent)
                sent += 1
        return True

    @property
    def _is_alone(self) -> bool:
        """Whether messages would be kept, or lost, by a socket without a peer."""
        return self._socket is None or (self._is_push and not self._zmq.state.peers)

    def _send(self, frames: Sequence[bytes | memoryview], sent: int) -> bool:
        """Send a message; return False when the peers of a PUSH socket are full.

        Raises:
            PublisherUnavailable: there are none.
        """
        if self._socket is None or self._is_alone:
            raise self._unavailable("no PULL socket is connected", sent)
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._messages += 1
        self._bytes += sum(map(len, frames))  # all are flat bytes
        return True

    def _unavailable(self, reason: str, sent: int) -> PublisherUnavailable:
        return PublisherUnavailable(f"{reason} at {self.address}; does the other program run and read?", sent)

    async def _wait_for_room(self, sent: int) -> None:
        """Return when the socket may take a message, or has lost its last peer.

        Raises:
            PublisherUnavailable: the peers took nothing for too long.
        """
        assert self._socket is not None  # noqa: S101 - it is waited for only while it is open
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        descriptor = self._socket.fileno()
        loop.add_reader(descriptor, changed.set)  # it reports changes only, so room is asked for after each
        try:
            async with asyncio.timeout(_STUCK_S):
                while not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT and not self._is_alone:
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            raise self._unavailable(f"no PULL socket took a message for {_STUCK_S:g} s", sent) from None
        finally:
            loop.remove_reader(descriptor)

    async def aclose(self) -> None:
        """Close; what ZMQ has not sent yet gets a second, of a PUSH socket half of the time to close."""
        await super().aclose()
        self._socket = None
        await self._zmq.aclose(self.close_timeout_s / 2 if self._is_push else _LINGER_S)

    def status(self) -> dict[str, object]:
        """Return address, type, counters, and whether there are peers."""
        return {
            "address": self.address,
            "type": self.type,
            "messages": self._messages,
            "bytes": self._bytes,
            **self._zmq.state.status(),
        }


def _frames(item: Packet | PacketRun | Message | bytes) -> Iterable[Sequence[bytes | memoryview]]:
    """Return the frames of each message that *item* is."""
    if isinstance(item, PacketRun):
        return encode_run(item)
    if isinstance(item, Message):
        return [message_frames.encode(item)]
    return [encode(item)] if isinstance(item, Packet) else [[item]]
