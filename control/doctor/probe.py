"""Asks a device of a component that does not run: is it there, does it speak RAW, and which channels does it know?

No channel is started, so that the device keeps what it has for the component.
"""

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rawdaq.errors import ProtocolError
from rawdaq.protocols.raw import ChannelDescribed, RawPlugin, RawVersion, VersionAgreed, VersionRefused
from rawdaq.sockets.endpoint import host_port
from rawdaq.sockets.remedies import why_not_connected

_VERSIONS = (RawVersion.V2_0, RawVersion.V1_1, RawVersion.V1_0)
_START = b"START\n"
_CHUNK_BYTES = 4096


@dataclass(slots=True)
class Probe:
    """What a device has said.

    Attributes:
        address: ``HOST:PORT``.
        unreachable: why there was no connection; None: there was one.
        version: the version that it speaks; None: it was not asked, or did not say.
        described: the channels that it has described.
        failure: how the handshake ended; None: well, or it was not tried.
    """

    address: str
    unreachable: str | None = None
    version: str | None = None
    described: list[int] = field(default_factory=list[int])
    failure: str | None = None


def probe(host: str, port: int, channels: Sequence[int] | None, timeout_s: float, version: str = "auto") -> Probe:
    """Return what the device at *host* and *port* says; this blocks for a few times *timeout_s* at most.

    Args:
        host: its address.
        port: its port.
        channels: the ids to ask for by RAW; None: it is only connected to.
        timeout_s: how long a connection, and a handshake, may take.
        version: of RAW, or ``auto``: the newest that it speaks.
    """
    found = Probe(host_port(host, port))
    versions = _VERSIONS if version == "auto" else (RawVersion(version),)
    for each in versions:
        found.failure = None
        try:
            sock = socket.create_connection((host, port), timeout_s)
        except (OSError, UnicodeError) as error:
            found.unreachable = why_not_connected(error, timeout_s)
            return found
        with sock:
            if (
                channels is None
                or max(channels) > each.max_channel
                or _shakes_hands(sock, channels, each, timeout_s, found)
            ):
                return found
    return found


def _shakes_hands(
    sock: socket.socket, channels: Sequence[int], version: RawVersion, timeout_s: float, found: Probe
) -> bool:
    """Hold the handshake up to START; return False when the device may speak another version."""
    plugin = RawPlugin(channels, version)
    end_s = time.monotonic() + timeout_s
    try:
        sock.sendall(plugin.data_to_send())
        while len(found.described) < len(channels):
            sock.settimeout(max(0.001, end_s - time.monotonic()))
            chunk = sock.recv(_CHUNK_BYTES)
            if not chunk:
                plugin.receive_eof()
            for event in plugin.receive_data(chunk):
                if isinstance(event, VersionAgreed):
                    found.version = str(event.version)
                elif isinstance(event, ChannelDescribed):
                    found.described.append(event.channel)
            sock.sendall(plugin.data_to_send().removesuffix(_START))
    except VersionRefused as error:
        found.failure = str(error)
        return False
    except ProtocolError as error:
        found.failure = str(error)
    except TimeoutError:
        missing = "its version" if found.version is None else f"channel {channels[len(found.described)]}"
        found.failure = f"it does not answer when it is asked for {missing}"
    except OSError as error:
        found.failure = why_not_connected(error, timeout_s)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    return True
