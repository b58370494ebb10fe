"""ISIReceiver: reads an ISI server and publishes what it has, each sample once."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rawdaq.config.settings import StationSettings
from rawdaq.errors import RawdaqError, RemoteProtocolError
from rawdaq.protocols.isi import (
    Compression,
    DataRequest,
    IsiClient,
    IsiName,
    IsiPacket,
    PacketUnreadable,
    Place,
    Policy,
    Window,
    check_names,
)
from rawdaq.protocols.isi.waveform import stream_of
from rawdaq.publisher import Publisher
from rawdaq.receivers.isi.connection import IsiConnection, IsiEndpoint, NewStreams, list_streams
from rawdaq.receivers.isi.feed import Feed
from rawdaq.receivers.isi.plan import CASE_REMEDY, Wanted
from rawdaq.receivers.isi.positions import Positions
from rawdaq.resuming import ResumingReceiver
from rawdaq.sockets.dialling import CONNECT_TIMEOUT_S, Backoff
from rawdaq.sockets.endpoint import check_host
from rawdaq.sockets.refusals import Refusals
from rawdaq.stream_id import StreamId
from rawdaq.times import from_iso, to_iso

_STARTS = {"latest": Place.NEWEST, "earliest": Place.OLDEST}
_ORDERS = {"auto": None, "little": "<", "big": ">"}
_LOOK_S = 600.0  # between two questions for new streams
_SHOWN_STREAMS = 100


def _streams(names: list[str]) -> list[str]:
    if not names:
        raise ValueError("at least one stream is needed, such as aak.bhz.00 or *.*.*")
    return check_names(names)


def _start(start: str) -> str:
    if start not in _STARTS:
        from_iso(start)
    return start


def _network(code: str) -> str:
    return StreamId(code, "A", "", "HHZ").network


class ISIReceiver(ResumingReceiver[Feed]):
    """Reads streams from an ISI server, as IDA's data systems have it, and connects again for ever.

    After an interruption, and with a file for its state also after a restart, it goes on with the sample that follows
    the last one, so that nothing that the server still has is missing, and nothing comes twice; after a kill some of
    the last packets may come again. Streams that are new on the server are found within ten minutes. ISI has no
    networks and small letters: ``aak.bhz.00`` is published as ``NET.AAK.00.BHZ``.

    Args:
        publishers: where the packets go.
        station: what the station file is about; streams keep the station, channel and location that they have.
        name: the component's name.
        host: where the server listens.
        port: its port.
        streams: which streams, ``sta.chn.loc``, each part as the server writes it or ``*``; ``sta.chn`` means those
            without a location.
        network: the network of all streams; by default that of the station file.
        state: a file for how far each stream was received; without it a restart begins as `start` says.
        start: where a stream begins that was never received: ``latest``, ``earliest``, or a UTC time.
        policy: ``min_gap`` goes on where the last connection ended, ``min_delay`` at the newest packet.
        compression: how samples are sent, where they are int32: ``ida``, or ``none``.
        byte_order: of samples that are not compressed, where the server does not tell the truth: ``little``, as old
            servers on PCs say big and send little, or ``big``; ``auto`` believes the server.
        timeout_s: silence after which the connection is given up; the server is told, and sends something twice as
            often. One that wants another time is followed, from 2 to 600 s.
        reconnect_first_s: the pause before the first new attempt; it doubles from one failure to the next.
        reconnect_max_s: the longest pause between attempts.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        station: StationSettings,
        *,
        host: Annotated[str, AfterValidator(check_host)],
        port: Annotated[int, Field(ge=1, le=65535)] = 39136,
        streams: Annotated[list[str], AfterValidator(_streams)] = ["*.*.*"],  # noqa: B006 - not changed
        network: Annotated[str, AfterValidator(_network)] | None = None,
        state: Path | None = None,
        start: Annotated[str, AfterValidator(_start)] = "latest",
        policy: Literal["min_gap", "min_delay"] = "min_gap",
        compression: Literal["ida", "none"] = "ida",
        byte_order: Literal["auto", "little", "big"] = "auto",
        timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 30.0,
        reconnect_first_s: Annotated[float, Field(ge=0.01, le=3600)] = 5.0,
        reconnect_max_s: Annotated[float, Field(ge=0.01, le=86400)] = 60.0,
        name: str = "ISIReceiver",
    ) -> None:
        super().__init__(host, port, publishers, name, state, Positions, "an ISI server")
        self.timeout_s = timeout_s
        self.refusals = self.add_refusals(Refusals(self.log, what="packet"))
        names = tuple(IsiName.parse(each) for each in dict.fromkeys(streams))
        begin = _STARTS.get(start) or from_iso(start)
        wanted = Wanted(names, network or station.network, begin, Policy[policy.upper()])
        self.feed = Feed(wanted, self.log, self.refusals)
        self._compression = Compression[compression.upper()]
        self._byte_order = _ORDERS[byte_order]
        self._windows: tuple[Window, ...] = ()
        self._goes_on = False
        self._absent: list[StreamId] = []
        self._server_timeout_s: float | None = None
        backoff = Backoff(reconnect_first_s, max(reconnect_first_s, reconnect_max_s))
        self.endpoint = IsiEndpoint(lambda: IsiConnection(self, self._windows), host, port, backoff, self.log)
        self.endpoint.prepare = self._plan
        self.endpoint.attempt_s = CONNECT_TIMEOUT_S + (timeout_s if wanted.wild_names else 0)
        self.add_endpoint(self.endpoint)

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return no stream: which there are is known when they come.

        Raises:
            InvalidValue: the name of a stream that no network can have.
        """
        for name in map(IsiName.parse, options["streams"]):
            parts = (part.replace("*", filler) for part, filler in zip(name, ("A", "HHZ", "00"), strict=True))
            stream_of(IsiName(*parts), options["network"] or station.network)
        return []

    # ------------------------------------------------------------------ new streams

    async def ct_look(self) -> None:
        """Look from time to time whether the server has streams that it did not have when it was asked for data."""
        while True:
            await asyncio.sleep(_LOOK_S)
            connection = self.endpoint.protocol
            if not isinstance(connection, IsiConnection) or not (self.feed.wanted.wild_names or self.feed.absent):
                continue
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S + self.timeout_s):
                    names = await self._listed(self.feed.wanted.names)
            except (OSError, UnicodeError, RawdaqError) as error:
                self.log.debug("cannot look for new streams: %s", error)
                continue
            new = [str(stream) for stream in self.feed.wanted.streams(names) if stream not in self.feed.served]
            if new and connection is self.endpoint.protocol:
                again = NewStreams(tuple(new))
                self.log.info("%s", again)
                self._goes_on = True
                connection.ask_again(again)

    # ------------------------------------------------------------------ what connections want

    def new_client(self) -> IsiClient:
        """Return the codec of a new connection."""
        return IsiClient(os.getpid(), round(self.timeout_s * 1000), self._byte_order)

    def request(self, windows: Sequence[Window]) -> DataRequest:
        """Return a request for these windows."""
        return DataRequest(tuple(windows), compression=self._compression, policy=self.feed.wanted.policy)

    async def _plan(self) -> None:
        """Make the request of the next connection; what names with ``*`` mean is what they mean now."""
        wild = self.feed.wanted.wild_names
        listed = await self._listed(wild) if wild else []
        goes_on, self._goes_on = self._goes_on, False
        self._windows = self.feed.begin(listed, goes_on=goes_on)

    async def _listed(self, names: Sequence[IsiName]) -> list[IsiName]:
        return await list_streams(self, names, self.endpoint.host, self.endpoint.port)

    def begin(self, windows: Sequence[Window], timeout_s: float) -> RawdaqError | None:
        """Take note that packets of these streams follow; return why not, if so."""
        try:
            self.feed.note_served(windows, time.time_ns())
        except RawdaqError as error:
            return error
        self._server_timeout_s = timeout_s
        level = logging.DEBUG if self.endpoint.is_repeating else logging.INFO
        self.log.log(level, "streams that the server sends: %d", len(self.feed.served))
        if self.feed.absent and self.feed.absent != self._absent:
            names = (str(self.feed.asked[stream]) for stream in self.feed.absent[:5])
            self.log.warning("the server does not have %s: %s", ", ".join(names), CASE_REMEDY)
        self._absent = self.feed.absent
        return None

    def take(self, packets: Sequence[IsiPacket], received_ns: int) -> bool:
        """Publish what is new in packets; return whether there was anything."""
        taken = self.feed.take(packets, received_ns)
        if taken:
            self.note_progress()
            self.publish_now(taken, self.endpoint)
        return bool(taken)

    def refuse(self, error: RemoteProtocolError) -> None:
        """Take note of a frame that cannot be used."""
        if isinstance(error, PacketUnreadable):
            self.refusals.count("unreadable packet", error.name, error)
        else:
            self.refusals.count("unknown frame", self.endpoint.address, error)

    def receiver_status(self) -> dict[str, object]:
        """Return the connection, and how far each stream was received."""
        feed = self.feed
        streams = sorted(feed.positions.streams.items())
        shown = {
            "server_timeout_s": self._server_timeout_s,
            "packets": feed.packets,
            "duplicates": feed.duplicates,
            "absent_streams": [str(feed.asked[stream]) for stream in feed.absent[:_SHOWN_STREAMS]],
            "stream_count": len(streams),
            "streams": {name: to_iso(position.end_ns) for name, position in streams[:_SHOWN_STREAMS]},
            "state_failure": self.state_failure,
        }
        return super().receiver_status() | shown | self.refusals.report()
