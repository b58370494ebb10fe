"""The client's side of ISI: a handshake, one request, and what the server sends for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.isi.errors import (
    Alerted,
    NoHandshake,
    PacketUnreadable,
    TooManyWindows,
    UnexpectedFrame,
    WrongSize,
)
from rawdaq.protocols.isi.frames import (
    Cause,
    Frame,
    FrameReader,
    FrameType,
    FrameWriter,
    Handshake,
    cause_text,
    decode_alert,
)
from rawdaq.protocols.isi.packets import IsiPacket, decode_packet
from rawdaq.protocols.isi.reports import WFDISC_BYTES, StreamConfiguration, StreamHealth
from rawdaq.protocols.isi.requests import SETTINGS, DataRequest, Report, Window

_NULL_BYTES: Final = bytes(4)  # as the original client ends a request for data
_MAX_WINDOWS: Final = 100_000  # one for each stream of a data centre; bounds what a server can make us hold


@dataclass(frozen=True, slots=True)
class Ready:
    """The server answered the handshake.

    Attributes:
        timeout_s: the server sends something at least twice as often; 0: it does not say.
    """

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took a request for data, which follow.

    Attributes:
        windows: a window for each stream that the server has, with its whole name; none: nothing matches.
    """

    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A frame that cannot be used; those that follow it can.

    Attributes:
        error: what is wrong with it.
    """

    error: RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Ended:
    """The server has sent all that was asked for, or ends the connection for another reason.

    Attributes:
        code: of the alert; `Cause.COMPLETE` also where a report ends without one.
    """

    code: int

    @property
    def is_complete(self) -> bool:
        """Whether it has sent all."""
        return self.code == Cause.COMPLETE

    def __str__(self) -> str:
        return cause_text(self.code)


#: What a report consists of; a text is a line of the table ``wfdisc``.
Entry: TypeAlias = StreamHealth | StreamConfiguration | str
ClientEvent: TypeAlias = Ready | Accepted | IsiPacket | Entry | Unreadable | Ended


class _Awaited(Enum):
    """What comes next."""

    HANDSHAKE = "a handshake"
    ACCEPTANCE = "the acknowledgement of a request"
    PACKETS = "packets"
    ENTRIES = "entries of a report"
    NOTHING = "nothing"  # before a request
    END = "the end of the connection"


class IsiClient:
    """The client's codec. A connection serves one request, which may be sent at once.

    Args:
        pid: number of the process, for the server's log.
        timeout_ms: after half as much silence the server sends a heartbeat; servers take it from the client.
        byte_order: ``<`` or ``>`` of samples that are not compressed, where the server does not tell the truth.
    """

    def __init__(self, pid: int = 0, timeout_ms: int = 30_000, byte_order: str | None = None) -> None:
        self._frames, self._writer = FrameReader(), FrameWriter()
        self._byte_order = byte_order
        self._awaited = _Awaited.HANDSHAKE
        self._then = _Awaited.NOTHING
        self._windows: list[Window] = []
        self._out = [self._writer.frame(FrameType.HANDSHAKE, Handshake(pid, timeout_ms).encode())]

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now; taken only once."""
        out, self._out = self._out, []
        return b"".join(out)

    def send_report_request(self, report: Report) -> None:
        """Ask what the server has."""
        payload = _NULL_BYTES if report is Report.WFDISC else b""
        self._out.append(self._writer.frame(report.value, payload))
        self._expect(_Awaited.ENTRIES)

    def send_data_request(self, request: DataRequest) -> None:
        """Ask for data.

        Raises:
            NameInvalid: a name is too long.
        """
        frames = [*request.settings(), *((FrameType.WINDOW, window.encode()) for window in request.windows)]
        frames.append((FrameType.NULL, _NULL_BYTES))
        self._out += [self._writer.frame(kind, payload) for kind, payload in frames]
        self._expect(_Awaited.ACCEPTANCE)

    def _expect(self, awaited: _Awaited) -> None:
        """Await the answer to a request: now, or when the handshake has come."""
        if self._awaited is _Awaited.HANDSHAKE:
            self._then = awaited
        else:
            self._awaited = awaited

    def receive_data(self, data: bytes | memoryview) -> Iterator[ClientEvent]:
        """Yield what *data* complete; what comes after the end is not looked at.

        Raises:
            RemoteProtocolError: the server broke the protocol; what was whole before that has been yielded.
            Alerted: the server refuses the connection or the request.
        """
        if self._is_over:
            return
        self._frames.feed(data)
        while not self._is_over and (frame := self._frames.take()) is not None:
            try:
                event = self._take(frame)
            except RemoteProtocolError as error:
                raise self._frames.fail(error) from None
            if event is not None:
                yield event

    def receive_eof(self) -> None:
        """Take note that the server closed the connection.

        Raises:
            ConnectionCut: it did so in the middle of a frame.
            NoHandshake: it did so before it said anything.
            RemoteProtocolError: what ended the connection before.
        """
        if not self._is_over:
            self._frames.receive_eof()
        if self._awaited is _Awaited.HANDSHAKE:
            raise self._frames.fail(NoHandshake())

    @property
    def _is_over(self) -> bool:
        return self._awaited is _Awaited.END

    def _take(self, frame: Frame) -> ClientEvent | None:
        if frame.type == FrameType.HEARTBEAT:
            return None
        match self._awaited:
            case _Awaited.HANDSHAKE:
                return self._take_handshake(frame)
            case _Awaited.ACCEPTANCE:
                return self._take_acceptance(frame)
            case _Awaited.PACKETS:
                return self._take_packet(frame)
            case _Awaited.ENTRIES:
                return self._take_entry(frame)
            case _:
                raise self._refused(frame)

    def _take_handshake(self, frame: Frame) -> Ready:
        if frame.type != FrameType.HANDSHAKE:
            raise self._refused(frame)
        self._awaited = self._then
        return Ready(Handshake.decode(frame.payload).timeout_ms / 1000)

    def _take_acceptance(self, frame: Frame) -> Accepted | None:
        if frame.type == FrameType.WINDOW:
            if len(self._windows) >= _MAX_WINDOWS:
                raise TooManyWindows(_MAX_WINDOWS)
            self._windows.append(Window.decode(frame.payload))
        elif frame.type == FrameType.NULL:
            self._awaited = _Awaited.PACKETS
            return Accepted(tuple(self._windows))
        elif frame.type not in SETTINGS:
            raise self._refused(frame)
        return None

    def _refused(self, frame: Frame) -> RemoteProtocolError:
        """Return why a connection or a request is refused."""
        if frame.type == FrameType.ALERT:
            code = decode_alert(frame.payload)
            return Alerted(code, cause_text(code))
        if frame.type == FrameType.NO_SUCH_TYPE:
            return Alerted(Cause.UNSUPPORTED, "it does not know this request")
        return UnexpectedFrame(frame.type, self._awaited.value)

    def _take_packet(self, frame: Frame) -> ClientEvent | None:
        if frame.type == FrameType.ALERT:
            return self._end(decode_alert(frame.payload))
        if frame.type != FrameType.PACKET:
            return Unreadable(UnexpectedFrame(frame.type, self._awaited.value))
        try:
            return decode_packet(frame.payload, self._byte_order)
        except PacketUnreadable as error:
            return Unreadable(error)

    def _take_entry(self, frame: Frame) -> ClientEvent | None:
        if frame.type == FrameType.NULL:
            return self._end(Cause.COMPLETE)
        if frame.type in (FrameType.ALERT, FrameType.NO_SUCH_TYPE):
            raise self._refused(frame)
        try:
            return self._read_entry(frame)
        except RemoteProtocolError as error:
            return Unreadable(error)

    def _read_entry(self, frame: Frame) -> Entry:
        match frame.type:
            case FrameType.HEALTH:
                return StreamHealth.decode(frame.payload)
            case FrameType.CONFIGURATION:
                return StreamConfiguration.decode(frame.payload)
            case FrameType.WFDISC:
                if len(frame.payload) != WFDISC_BYTES:
                    raise WrongSize("a line of wfdisc", len(frame.payload), WFDISC_BYTES)
                return frame.payload.decode("latin-1")
            case _:
                raise UnexpectedFrame(frame.type, self._awaited.value)

    def _end(self, code: int) -> Ended:
        self._awaited = _Awaited.END
        return Ended(code)
