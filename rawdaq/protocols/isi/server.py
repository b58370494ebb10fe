"""The server's side of ISI: one request in, what is held of it out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rawdaq.errors import RemoteProtocolError
from rawdaq.protocols.isi.errors import (
    BadRequest,
    BadTag,
    PayloadTooLarge,
    SignatureTooLarge,
    TooManyWindows,
    Unsupported,
    Withdrawn,
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
    encode_alert,
)
from rawdaq.protocols.isi.packets import Compression
from rawdaq.protocols.isi.reports import StreamConfiguration, StreamHealth
from rawdaq.protocols.isi.requests import SETTINGS, DataRequest, Format, Policy, Report, Window, decode_number

#: What a client wants to wait is taken within these limits, in milliseconds.
_MIN_TIMEOUT_MS: Final = 4_000
_MAX_TIMEOUT_MS: Final = 600_000
_MAX_WINDOWS: Final = 100_000  # one for each stream of a data centre; bounds what a client can make us hold
_NULL_BYTES: Final = bytes(4)  # as the original server ends an acknowledgement
_REPORTS: Final = {report.value for report in Report}
#: What a request has that leaves settings out.
_DEFAULTS: Final = {"format": Format.GENERIC, "compression": Compression.GZIP, "policy": Policy.MIN_GAP}
_IO_ERRORS = (BadTag, PayloadTooLarge, SignatureTooLarge)


@dataclass(frozen=True, slots=True)
class ReportRequested:
    """The client wants to know what there is; `IsiServer.send_entries` and `IsiServer.end_report` must answer."""

    report: Report


@dataclass(frozen=True, slots=True)
class DataRequested:
    """The client wants data; `IsiServer.send_acceptance` must answer, and packets follow."""

    request: DataRequest


ServerEvent: TypeAlias = ReportRequested | DataRequested


class IsiServer:
    """The server's codec. A connection serves one request; what a client sends after it is not looked at.

    Args:
        pid: number of the process, which clients get.

    Attributes:
        has_request: whether the client has asked for something.
        timeout_ms: how long the client waits for something to come.
    """

    def __init__(self, pid: int = 0) -> None:
        self.has_request = False
        self.timeout_ms = Handshake().timeout_ms
        self._pid = pid
        self._frames, self._writer = FrameReader(), FrameWriter()
        self._has_greeted = False
        self._settings: dict[str, int] = {}
        self._windows: list[Window] = []
        self._out: list[bytes] = []

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a request that is not whole yet."""
        return 0 if self.has_request else self._frames.held_bytes

    def data_to_send(self) -> bytes:
        """Return what is to be sent by now; taken only once."""
        out, self._out = self._out, []
        return b"".join(out)

    # ------------------------------------------------------------------ in

    def receive_data(self, data: bytes | memoryview) -> Iterator[ServerEvent]:
        """Yield what *data* complete; what wants no answer of others is answered.

        Raises:
            RemoteProtocolError: the client broke the protocol; what it is told then is to be sent.
        """
        if self.has_request:
            return
        self._frames.feed(data)
        try:
            while not self.has_request and (frame := self._frames.take()) is not None:
                if (event := self._take(frame)) is not None:
                    yield event
        except RemoteProtocolError as error:
            if self._has_greeted and not isinstance(error, Withdrawn):
                self.send_alert(_cause_of(error))
            raise self._frames.fail(error) from None

    def _take(self, frame: Frame) -> ServerEvent | None:
        if not self._has_greeted:
            self._greet(frame)
            return None
        if frame.type in _REPORTS and not self._settings and not self._windows:
            self.has_request = True
            return ReportRequested(Report(frame.type))
        match frame.type:
            case FrameType.HEARTBEAT:
                pass
            case FrameType.WINDOW:
                self._add(Window.decode(frame.payload))
            case FrameType.NULL:
                return self._finish()
            case kind if kind in SETTINGS:
                self._settings[SETTINGS[kind]] = decode_number(frame.payload, f"the {SETTINGS[kind]} of a request")
            case FrameType.ALERT:
                code = decode_alert(frame.payload)
                raise Withdrawn(code, cause_text(code))
            case FrameType.SEQUENCE | FrameType.STREAM:
                raise Unsupported("packets by sequence number, those of IDA's own digitizers")
            case kind:
                raise Unsupported(f"frames of type {kind}")
        return None

    def _greet(self, frame: Frame) -> None:
        """Answer the handshake: what the client wants counts, within limits."""
        if frame.type != FrameType.HANDSHAKE:
            raise BadRequest(f"begins with a frame of type {frame.type} instead of a handshake")
        theirs = Handshake.decode(frame.payload)
        self.timeout_ms = min(max(theirs.timeout_ms, _MIN_TIMEOUT_MS), _MAX_TIMEOUT_MS)
        self._send(FrameType.HANDSHAKE, theirs._replace(pid=self._pid, timeout_ms=self.timeout_ms).encode())
        self._has_greeted = True

    def _add(self, window: Window) -> None:
        if len(self._windows) >= _MAX_WINDOWS:
            raise TooManyWindows(_MAX_WINDOWS)
        self._windows.append(window)

    def _finish(self) -> DataRequested | None:
        settings: dict[str, Any] = _DEFAULTS | self._settings
        request = DataRequest(tuple(self._windows), **settings)
        if request.format != Format.GENERIC:
            raise Unsupported(f"format {request.format} instead of 1, generic")
        self.has_request = True
        return DataRequested(request)

    # ------------------------------------------------------------------ out

    def send_acceptance(self, request: DataRequest, windows: Iterable[Window]) -> None:
        """Repeat a request, with a window for each stream that there is: data follow.

        Raises:
            NameInvalid: a name is too long.
        """
        for kind, payload in request.settings():
            self._send(kind, payload)
        for window in windows:
            self._send(FrameType.WINDOW, window.encode())
        self._send(FrameType.NULL, _NULL_BYTES)

    def frame(self, payload: bytes) -> bytes:
        """Return the frame of a packet, to be sent at once."""
        return self._writer.frame(FrameType.PACKET, payload)

    def send_entries(self, entries: Iterable[StreamHealth | StreamConfiguration | str]) -> None:
        """Send entries of a report.

        Raises:
            NameInvalid: a name is too long.
        """
        for entry in entries:
            match entry:
                case StreamHealth():
                    self._send(FrameType.HEALTH, entry.encode())
                case StreamConfiguration():
                    self._send(FrameType.CONFIGURATION, entry.encode())
                case line:
                    self._send(FrameType.WFDISC, line.encode("ascii", "replace"))

    def end_report(self) -> None:
        """Say that a report has no more entries, and end."""
        self._send(FrameType.NULL)
        self.send_alert(Cause.COMPLETE)

    def send_heartbeat(self) -> None:
        """Show the client that the server is there."""
        self._send(FrameType.HEARTBEAT)

    def send_alert(self, cause: Cause) -> None:
        """Say why the connection ends; it is to be closed when this is sent and the client has closed its side."""
        self._send(FrameType.ALERT, encode_alert(cause))

    def _send(self, kind: int, payload: bytes = b"") -> None:
        self._out.append(self._writer.frame(kind, payload))


def _cause_of(error: RemoteProtocolError) -> Cause:
    """Return the cause to send to a client that made this error."""
    if isinstance(error, Unsupported):
        return Cause.UNSUPPORTED
    return Cause.IO_ERROR if isinstance(error, _IO_ERRORS) else Cause.PROTOCOL_ERROR
