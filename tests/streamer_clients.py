"""Clients of a `Streamer`: one that knows nothing of rawdaq, and one that is built on it; and a log to wait for."""

import logging
import queue
import socket
import struct
from types import TracebackType
from typing import Self

from rawdaq.protocols.raw import PluginEvent, RawPlugin, RawVersion, SampleBlock, Started

DEADLINE_S = 30


class TinyClient:
    """Speaks RAW with nothing but a socket and a struct."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.connection = socket.create_connection((host, port), DEADLINE_S)
        self._file = self.connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.connection.close()

    def send(self, text: str) -> None:
        self.connection.sendall(text.encode())

    def lines(self, count: int) -> list[str]:
        return [self._file.readline().decode().rstrip("\n") for _ in range(count)]

    def start(self, *channels: int, version: str = "2.0") -> list[str]:
        """Hold the handshake in one send; return the answer."""
        self.send(f"RAW {version}\n" + "".join(f"CHANNEL\n{channel}\n" for channel in channels) + "START\n")
        return self.lines(2 + 6 * len(channels))

    def packet_2_0(self, sample_bytes: int) -> tuple[tuple[int, ...], bytes]:
        """Return the fields of the next packet's header and its samples."""
        fields = struct.unpack(">HHBBBIBHI", self._file.read(18))
        return fields, self._file.read(fields[-1] * sample_bytes)

    def packet_1(self, sample_bytes: int) -> tuple[tuple[int, ...], bytes]:
        """The same for versions 1.0 and 1.1."""
        fields = struct.unpack(">HHBBBIII", self._file.read(19))
        return fields, self._file.read(fields[-1] * sample_bytes)

    def read(self, size_bytes: int) -> bytes:
        return self._file.read(size_bytes)

    def rest(self) -> bytes:
        """Return all that comes until the end of the connection."""
        return self._file.read()


class PluginClient:
    """Reads sample blocks with our own codec; it has started when it is built."""

    def __init__(self, port: int, *channels: int, version: RawVersion = RawVersion.V2_0) -> None:
        self._plugin = RawPlugin(channels, version)
        self._connection = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        while (events := self._events()) is not None and Started() not in events:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def blocks(self, count: int | None = None) -> list[SampleBlock]:
        """Return the next *count* blocks, or all until the end of the connection."""
        found: list[SampleBlock] = []
        while len(found) != count and (events := self._events()) is not None:
            found += [event for event in events if isinstance(event, SampleBlock)]
        return found

    def _events(self) -> list[PluginEvent] | None:
        """Return what comes next, None at the end of the connection."""
        self._connection.sendall(self._plugin.data_to_send())
        data = self._connection.recv(65_536)
        if not data:
            self._plugin.receive_eof()
            return None
        return list(self._plugin.receive_data(data))


class LogQueue(logging.Handler):
    """Keeps log lines for whoever waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put(f"{record.levelname} {record.getMessage()}")

    def wait_for(self, part: str) -> str:
        """Return the next line that has *part* in it."""
        while part not in (line := self.lines.get(timeout=DEADLINE_S)):
            pass
        return line
