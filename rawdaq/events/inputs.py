"""Where the messages of a receiver come from: datagrams, TCP connections, ZMQ, a serial line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.events import EventFormat
from rawdaq.sockets.endpoint import check_host
from rawdaq.sockets.networks import check_network, sender_mistakes
from rawdaq.sockets.zeromq.socket import check_zmq_addresses, exclusive_addresses

Port = Annotated[int, Field(ge=0, le=65535)]
HostName = Annotated[str, AfterValidator(check_host)]
Transport = Literal["udp", "tcp"]
ZmqPattern = Literal["sub", "pull"]


Senders = list[Annotated[str, AfterValidator(check_network)]]
ZmqAddresses = Annotated[list[str], AfterValidator(check_zmq_addresses)]
Megabytes = Annotated[float, Field(gt=0, le=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Where messages come from; which of them applies is what is given.

    Attributes:
        ip: the address to listen on.
        ports: to listen on, or the one to dial.
        transport: of listening and dialling.
        host: the peer to dial; None: peers send to us.
        endpoints: ZMQ addresses.
        pattern: how to read them.
        bind: whether ZMQ peers connect to us.
        topics: what to subscribe to.
        senders: addresses and networks whose messages are taken; empty: all.
        receive_buffer_mb: of UDP.
        device: a serial line.
        baud: its speed.
    """

    ip: str = "127.0.0.1"
    ports: Sequence[int] = ()
    transport: Transport = "udp"
    host: str | None = None
    endpoints: Sequence[str] = ()
    pattern: ZmqPattern = "sub"
    bind: bool = False
    topics: Sequence[str] = ()
    senders: Sequence[str] = ()
    receive_buffer_mb: float = 32.0
    device: Path | None = None
    baud: int = 9600

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Inputs":
        """Return the inputs that the options of a receiver name.

        Raises:
            InvalidValue: they do not go together; the text says all that is wrong.
        """
        given = {name: options[name] for name in cls.__slots__ if name in options and name != "ports"}
        ports = list(options["ports"]) or ([] if options["port"] is None else [options["port"]])
        made = cls(**given, ports=ports)
        mistakes = list(made._mistakes(options["port"] is not None and bool(options["ports"])))
        if mistakes:
            raise InvalidValue("; ".join(mistakes))
        return made

    def _mistakes(self, has_both: bool) -> Iterator[str]:
        kinds = {"endpoints": bool(self.endpoints), "device": self.device is not None, "host": self.host is not None}
        chosen = [name for name, is_given in kinds.items() if is_given]
        if len(chosen) > 1:
            yield f"messages come from one kind of place: give one of {' and '.join(chosen)}"
        if has_both:
            yield "give either port or ports"
        if self.host is not None and self.transport != "tcp":
            yield "host is a peer to connect to, with transport: tcp; where it sends datagrams, name it in senders"
        if (self.endpoints or self.device) and self.ports:
            yield f"port is for UDP and TCP; with {chosen[0]} leave it out"
        if not (self.endpoints or self.device or self.ports):
            yield "where do messages come from? give a port, or endpoints (ZMQ addresses)"
        if self.host is not None and (len(self.ports) > 1 or 0 in self.ports):
            yield "a peer to connect to has one port, not 0"
        if self.senders and (self.host is not None or self.endpoints or self.device):
            yield "senders are for ports that we listen on; remove them"
        else:
            yield from sender_mistakes(self.ip, self.senders)
        yield from self._zmq_mistakes()

    def _zmq_mistakes(self) -> Iterator[str]:
        if not self.endpoints and (self.bind or self.topics):
            yield "bind and topics are for ZMQ; name its endpoints, or remove them"
        if self.topics and self.pattern == "pull":
            yield "topics are what a sub subscribes to; a pull gets everything: remove them"
        if any("*" in address for address in self.endpoints) and not self.bind:
            yield "an address with * is where others can connect to (bind: true); name the machine to connect to"

    def exclusive(self) -> list[str]:
        """Return the things, in words, that only one component can have."""
        if self.endpoints:
            return exclusive_addresses(self.endpoints) if self.bind else []
        if self.device is not None:
            return [f"serial line {self.device}"]
        if self.host is not None:
            return []
        return [f"{self.transport.upper()} port {port} of {self.ip}" for port in self.ports if port]

    def check_format(self, made: EventFormat) -> None:
        """Check that messages of a format can be found in what comes.

        Raises:
            InvalidValue: it is a stream of bytes, and the format has only whole messages.
        """
        if self.is_stream:
            try:
                made.frames()
            except LocalProtocolError as error:
                raise InvalidValue(f"{error}: use datagrams or ZMQ") from None

    @property
    def is_stream(self) -> bool:
        """Whether messages have to be found in a byte stream."""
        return not self.endpoints and (self.device is not None or self.transport == "tcp")
