"""SeedLinkReceiver: reads a SeedLink server and publishes what it has, each record once."""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.errors import InvalidValue, LocalProtocolError, RawdaqError
from rawdaq.protocols.seedlink import DataPacket, Hello, RequestRefused, SeedLinkVersion, Selector, Start
from rawdaq.publisher import Publisher
from rawdaq.receivers.seedlink.connection import SeedLinkConnection
from rawdaq.receivers.seedlink.feed import Feed
from rawdaq.receivers.seedlink.plan import Policy, Wanted
from rawdaq.receivers.seedlink.positions import Positions
from rawdaq.resuming import ResumingReceiver
from rawdaq.sockets.dial_endpoint import DialEndpoint
from rawdaq.sockets.dialling import Backoff
from rawdaq.sockets.endpoint import check_host
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso, to_iso

_STATION = re.compile(r"[A-Z0-9*?]{1,8}_[A-Z0-9*?-]{1,8}|\*", re.ASCII)
_STARTS = {"latest": Start.NEXT, "earliest": Start.OLDEST}
_SHOWN_STATIONS = 100


def _stations(stations: dict[str, list[str]]) -> dict[str, list[str]]:
    if not stations:
        raise ValueError("at least one station is needed, such as XX_ABC: [00HHZ]")
    for station, selectors in stations.items():
        if not _STATION.fullmatch(station):
            raise ValueError(f"{station!r} is not a station like XX_ABC, XX_* or *")
        for selector in selectors:
            if Selector.parse(selector).filter:
                raise ValueError(f"{selector!r} names a filter; records are read as the server has them")
    return stations


def _start(start: str) -> str:
    if start not in _STARTS:
        from_iso(start)
    return start


class SeedLinkReceiver(ResumingReceiver[Feed]):
    """Reads stations from a SeedLink server of version 3 or 4, and connects again for ever.

    After an interruption, and with a file for its state also after a restart, it goes on with the packet that follows
    the last one, so that nothing that the server still has is missing, and nothing comes twice. A server that counts
    its packets anew is asked by time. What is decoded is published as packets, under the names in the records.

    Args:
        publishers: where the packets go.
        station: what the station file is about; streams keep the names that the records have.
        name: the component's name.
        host: where the server listens.
        port: its port.
        stations: which stations, ``NET_STA`` with ``*`` and ``?``, each with its selectors like ``00HHZ``, ``HH?``,
            ``!HHN`` or ``00_H_H_Z``; no selector means all streams. The first entry that names a station counts.
        protocol: the version of SeedLink; ``auto`` takes 4.0 where the server has it.
        state: a file for how far each station was received; without it a restart begins as `start` says.
        start: where a station begins that was never received: ``latest``, ``earliest``, or a UTC time.
        policy: ``min_gap`` goes on where the last connection ended, ``min_delay`` at the newest packet.
        raw: publish whole records as plain bytes, also those that hold no waveform.
        keep_alive_s: silence after which the server is asked whether it is there (0: never).
        timeout_s: silence after which the connection is given up (0: never).
        reconnect_first_s: the pause before the first new attempt; it doubles from one failure to the next.
        reconnect_max_s: the longest pause between attempts.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        host: Annotated[str, AfterValidator(check_host)],
        stations: Annotated[dict[str, list[str]], AfterValidator(_stations)],
        port: Annotated[int, Field(ge=1, le=65535)] = 18000,
        protocol: Literal["auto", "3.1", "4.0"] = "auto",
        state: Path | None = None,
        start: Annotated[str, AfterValidator(_start)] = "latest",
        policy: Literal["min_gap", "min_delay"] = "min_gap",
        raw: bool = False,
        keep_alive_s: Annotated[float, Field(ge=0, le=3600)] = 30.0,
        timeout_s: Annotated[float, Field(ge=0, le=86400)] = 90.0,
        reconnect_first_s: Annotated[float, Field(ge=0.01, le=3600)] = 0.5,
        reconnect_max_s: Annotated[float, Field(ge=0.01, le=86400)] = 30.0,
        name: str = "SeedLinkReceiver",
    ) -> None:
        super().__init__(host, port, publishers, name, state, Positions, "a SeedLink server")
        self.version = None if protocol == "auto" else SeedLinkVersion(protocol)
        self.keep_alive_s, self.timeout_s = keep_alive_s, timeout_s
        self.refusals = self.add_refusals(Refusals(self.log, what="record"))
        selectors = {each: tuple(map(Selector.parse, texts)) for each, texts in stations.items()}
        wanted = Wanted(selectors, _STARTS.get(start) or from_iso(start), Policy(policy))
        self.feed = Feed(wanted, raw, self.log, self.refusals)
        self.server: tuple[SeedLinkVersion, Hello] | None = None
        self._refused: dict[str, str] = {}
        self.endpoint: DialEndpoint = self.connect_stream(
            lambda: SeedLinkConnection(self),
            backoff=Backoff(reconnect_first_s, max(reconnect_first_s, reconnect_max_s)),
        )

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no stream: which there are is known when they come.

        Raises:
            InvalidValue: a selector that the wanted version cannot say.
        """
        if options["protocol"] == SeedLinkVersion.V3:
            for selector in (each for texts in options["stations"].values() for each in texts):
                try:
                    _ = Selector.parse(selector).v3
                except LocalProtocolError as error:
                    raise InvalidValue(str(error)) from error
        return []

    # ------------------------------------------------------------------ what connections report

    def agree(self, version: SeedLinkVersion, hello: Hello) -> None:
        """Take note of what the server is."""
        if (version, hello) != self.server:
            self.log.info("%s, %s: spoken is SeedLink %s", hello.software, hello.organization, version)
        self.server = version, hello

    def refuse(self, refused: RequestRefused) -> None:
        """Take note that the server refused a command; logged when that is new."""
        if self._refused.get(refused.station) != refused.answer:
            self.log.warning("the server refuses %s: %r to %s", refused.station, refused.answer, refused.command)
        self._refused[refused.station] = refused.answer

    def begin(self, refused: Sequence[str]) -> None:
        """Take note that packets follow."""
        self.feed.note_contact(time.time_ns())
        level = logging.DEBUG if self.endpoint.is_repeating else logging.INFO
        self.log.log(level, "the server sends%s", f", except {len(refused)} stations" if refused else "")
        for station in [each for each in self._refused if each not in refused]:
            del self._refused[station]

    def take(self, packets: Sequence[DataPacket], received_ns: int) -> RawdaqError | None:
        """Publish what is new; return why the connection must be made again, if so."""
        taken, again = self.feed.take(packets, received_ns)
        if again is not None:  # of which a connection that is made again at once says nothing
            self.log.warning("%s", again)
        if taken:
            self.note_progress()
            self.publish_now(taken, self.endpoint)
        return again

    def receiver_status(self) -> dict[str, object]:
        """Return the connection, what the server is, and how far each station was received."""
        version, hello = self.server or (None, None)
        stations = sorted(self.feed.positions.stations.items())
        shown = {
            "version": version and str(version),
            "server": hello and hello.software,
            "organization": hello and hello.organization,
            "records": self.feed.records,
            "duplicates": self.feed.duplicates,
            "refused_stations": dict(self._refused),
            "station_count": len(stations),
            "stations": {
                station: {"sequence": position.sequence, "start": to_iso(position.start_ns)}
                for station, position in stations[:_SHOWN_STATIONS]
            },
            "state_failure": self.state_failure,
        }
        return super().receiver_status() | shown | self.refusals.report()
