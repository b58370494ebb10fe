"""From the content of a station file to settings: the blocks that there are, and the keys of each."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rawdaq.config import registry
from rawdaq.config.decimation import DecimationSettings, decimated_streams
from rawdaq.config.document import Document, dotted
from rawdaq.config.hooks import publisher_hooks, receiver_hooks
from rawdaq.config.options import Where, read_options, resolved
from rawdaq.config.settings import (
    NAME,
    ComponentSettings,
    DaemonSettings,
    JournalSettings,
    PublisherSettings,
    ReceiverSettings,
    StateOfHealthSettings,
    StationSettings,
)
from rawdaq.config.trigger import TriggerSettings
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.messages.message import Kind
from rawdaq.publisher import OverflowPolicy
from rawdaq.sockets.claims import Claim
from rawdaq.stream_id import StreamId, can_meet, selects_nothing

_LOG = logging.getLogger("rawdaq.config")

#: Words that commands use beside component names.
RESERVED = {"all", "receiver", "station"}
#: The blocks of a component.
BLOCK_NAMES = ("Receiver", "Publishers", "Journal", "Decimation", "Trigger", "StateOfHealth", "Daemon")
#: The name that the block ``Decimation`` had in the first station files; it is accepted with a warning.
FORMER_DECIMATION = "Previews"


class Claimed(NamedTuple):
    """Something exclusive that a receiver or a publisher has, such as a port or an archive.

    Attributes:
        file: the station file.
        line: in it, from 1; None when that is not known.
        where: the receiver or the publisher.
        words: what it has.
        claim: this, as claims are compared.
        streams: the streams that it gets, empty when they are not known; None: the claim holds for all streams.
        patterns: its patterns of streams.
    """

    file: Path
    line: int | None
    where: Where
    words: str
    claim: Claim
    streams: frozenset[StreamId] | None
    patterns: Sequence[str] = ()

    def excludes(self, other: "Claimed") -> bool:
        """Whether *other* has the same thing without sharing it."""
        if not self.claim.excludes(other.claim):
            return False
        is_same_file = self.file == other.file
        if is_same_file and dotted(self.where) == dotted(other.where):  # where words are equal the name is there twice
            return self.words != other.words
        if self.streams is None or other.streams is None:
            return True
        # Publishers of one component share its streams, known or not, unless their patterns have nothing in common.
        are_apart = self.patterns and other.patterns and not can_meet(self.patterns, other.patterns)
        is_shared = is_same_file and self.where[0] == other.where[0] and not are_apart
        return is_shared or not self.streams.isdisjoint(other.streams)

    def problem(self, other: "Claimed") -> str:
        """Return what is wrong when *other*, which comes before this, has the same thing."""
        owner = dotted(other.where)
        if other.file != self.file:
            owner += f" of {other.file}:{other.line}" if other.line else f" of {other.file}"
        shared = "" if other.words == self.words else f", with {other.words}"
        return f"{self.words} is what {owner} has already{shared}; give each its own"


class _Entry(BaseModel):
    """The keys of a receiver that are not options of its class."""

    model_config = ConfigDict(extra="allow", frozen=True)

    class_name: Annotated[str, Field(alias="class")]


class PublisherEntry(_Entry):
    """The keys that every publisher takes, beside the options of its class.

    Attributes:
        class: the registered name of a publisher.
        overflow: what its queue does when it is full, because the outside is slower than the device or away: the
            receiver waits, or packets are dropped and counted. By default it is as its class has it.
        queue_packets: how many packets may wait for it; by default as its class has it.
        queue_mb: how many megabytes may wait for it; by default as its class has it.
        streams: patterns of the streams that it gets, such as ``XX.*.*.HH?``; none means all.
        kinds: of messages that it gets: readout, event, telemetry, log, monitor; none means all.
    """

    overflow: OverflowPolicy | None = None
    queue_packets: Annotated[int, Field(ge=1, strict=True)] | None = None
    queue_mb: Annotated[float, Field(gt=0, strict=True)] | None = None
    streams: list[str] = Field(default_factory=list)
    kinds: list[Kind] = Field(default_factory=list[Kind])


class StationReader:
    """Makes the settings of a station from its document, and adds the problems to the document.

    Args:
        document: the content of the file.
        folder: the base of relative paths in it.

    Attributes:
        claims: what the file claims for its components, in its order.
    """

    def __init__(self, document: Document, folder: Path) -> None:
        self._document = document
        self._folder = folder
        self.claims: list[Claimed] = []
        self._claimed: dict[str, list[Claimed]] = {}

    def read(self) -> tuple[StationSettings | None, list[ComponentSettings]]:
        """Return the valid settings; the document holds the problems of the others."""
        document = self._document
        if document.root is None:
            if not document.problems:
                document.add((), "is empty; `control-rawdaq init NET.STA` writes one to begin with")
            return None, []
        blocks = document.mapping((), document.root, "a mapping of `station` and components")
        if blocks is None:
            return None, []
        station = self._station(blocks)
        names = [name for name in blocks if name != "station"]
        if not names:
            document.add((), "has no component; add one, such as `RawReceiver:` with a `Receiver:` block")
        made = [self._component(name, blocks[name], station) for name in names]
        return station, [component for component in made if component]

    def _station(self, blocks: dict[Any, Any]) -> StationSettings | None:
        if "station" not in blocks:
            self._document.add((), "has no `station`; add `station: {network: XX, code: DEMO}`")
            return None
        what = "a mapping such as {network: XX, code: DEMO}"
        return self._document.valid(("station",), StationSettings, blocks["station"], what)

    def _check_name(self, where: Where) -> None:
        name = where[-1]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self._document.add(where, "is not a name; it should be 1-48 characters of A-Z a-z 0-9 _ -")
        elif len(where) == 1 and name in RESERVED:
            self._document.add(where, "is a word of the commands; give the component another name")

    def _component(self, name: Any, value: Any, station: StationSettings | None) -> ComponentSettings | None:
        document, where = self._document, (name,)
        known = len(document.problems)
        self._check_name(where)
        blocks = document.mapping(where, value, f"a mapping of {', '.join(BLOCK_NAMES)}")
        if blocks is None:
            return None
        for key in [key for key in blocks if key not in (*BLOCK_NAMES, FORMER_DECIMATION)]:
            document.add((*where, key), f"unknown key; {registry.suggestion(str(key), BLOCK_NAMES)}")
        receiver, streams = self._receiver(where, blocks, station)
        key = self._decimation_key(where, blocks)
        decimation, streams = self._decimation((*where, key), blocks.get(key), streams)
        health, streams = self._health((*where, "StateOfHealth"), blocks, streams, station)
        trigger = self._trigger((*where, "Trigger"), blocks.get("Trigger"), streams)
        publishers = self._publishers((*where, "Publishers"), blocks.get("Publishers"), streams)
        journal = self._journal((*where, "Journal"), blocks.get("Journal"))
        daemon = self._daemon((*where, "Daemon"), blocks.get("Daemon"))
        if len(document.problems) > known or not (station and receiver and daemon):
            return None
        made = tuple(publishers)
        asked = decimation, journal, health, trigger
        return ComponentSettings(str(name), station, receiver, made, daemon, document.file, *asked)

    def _health(
        self, where: Where, blocks: dict[Any, Any], streams: list[StreamId], station: StationSettings | None
    ) -> tuple[StateOfHealthSettings | None, list[StreamId]]:
        """Return the block, where it is asked for, and all streams with its own, when these are known."""
        if "StateOfHealth" not in blocks:
            return None, streams
        given: Any = blocks["StateOfHealth"]
        what = "a mapping such as {every_s: 10}"
        made = self._document.valid(where, StateOfHealthSettings, dict[str, Any]() if given is None else given, what)
        if made is None or station is None:
            return made, []
        names = [*made.names(station).values()]
        for taken in set(names) & set(streams):
            self._document.add(where, f"would make {taken}, which the component has; give it a `location` of its own")
        return made, [*streams, *names] if streams else []

    def _trigger(self, where: Where, value: Any, streams: list[StreamId]) -> TriggerSettings | None:
        if value is None:
            return None
        made = self._document.valid(where, TriggerSettings, value, "a mapping such as {sta_s: 0.5, lta_s: 30}")
        if made is not None and streams and not any(stream.matches(made.streams) for stream in streams):
            self._document.add((*where, "streams"), selects_nothing(streams))
        return made

    def _journal(self, where: Where, value: Any) -> JournalSettings | None:
        if value is None:
            return None
        made = self._document.valid(where, JournalSettings, value, "a mapping such as {path: journal}")
        if made is None:
            return None
        journal: JournalSettings = resolved(made, self._folder)
        self._claim(f"journal {journal.path}", where)
        return journal

    def _daemon(self, where: Where, value: Any) -> DaemonSettings | None:
        return DaemonSettings() if value is None else self._document.valid(where, DaemonSettings, value, "a mapping")

    def _receiver(
        self, where: Where, blocks: dict[Any, Any], station: StationSettings | None
    ) -> tuple[ReceiverSettings | None, list[StreamId]]:
        if "Receiver" not in blocks:
            self._document.add(where, "has no `Receiver`; add `Receiver: {class: RawReceiver, ...}`")
            return None, []
        where = (*where, "Receiver")
        entry = self._document.valid(where, _Entry, blocks["Receiver"], "a mapping with `class`")
        if entry is None:
            return None, []
        made, cls = self._options(where, "receiver", entry)
        if made is None:
            return None, []
        streams: list[StreamId] = []
        if cls is not None:
            hooks = receiver_hooks(cls)
            try:
                streams = hooks.streams(station, made) if station else []
            except (RawdaqError, ValueError) as error:
                self._document.add(where, str(error))
            for thing in hooks.exclusive(made):
                self._claim(thing, where)
        return ReceiverSettings(entry.class_name, made), streams

    def _decimation_key(self, where: Where, blocks: dict[Any, Any]) -> str:
        """Return the key of the block `Decimation`: its former name still works."""
        if FORMER_DECIMATION not in blocks:
            return "Decimation"
        former = (*where, FORMER_DECIMATION)
        if "Decimation" in blocks:
            self._document.add(former, "is the former name of `Decimation`, which is there too; put all into one")
        else:
            at = f"{self._document.file}:{self._document.lines.get(former, '')}"
            _LOG.warning("%s: %s is called Decimation now: rename the key", at, dotted(former))
        return FORMER_DECIMATION

    def _decimation(
        self, where: Where, value: Any, sources: list[StreamId]
    ) -> tuple[dict[str, DecimationSettings], list[StreamId]]:
        """Return the entries, and all streams with the decimated ones; no streams when entries are wrong."""
        document, what = self._document, "a mapping such as {rate_hz: 100}"
        given = {} if value is None else document.mapping(where, value, "a mapping of names to entries")
        entries: dict[str, DecimationSettings] = {}
        for name, entry in (given or {}).items():
            self._check_name((*where, name))
            if made := document.valid((*where, name), DecimationSettings, entry, what):
                entries[str(name)] = made
        if given is None or len(entries) < len(given):
            return entries, []
        return entries, [*sources, *decimated_streams(document, where, entries, sources)]

    def _publishers(self, where: Where, value: Any, streams: list[StreamId]) -> list[PublisherSettings]:
        entries = {} if value is None else self._document.mapping(where, value, "a mapping of names to publishers")
        made = [self._publisher((*where, name), entry, streams) for name, entry in (entries or {}).items()]
        return [publisher for publisher in made if publisher]

    def _publisher(self, where: Where, value: Any, streams: list[StreamId]) -> PublisherSettings | None:
        self._check_name(where)
        entry = self._document.valid(where, PublisherEntry, value, "a mapping with `class`")
        if entry is None:
            return None
        options, cls = self._options(where, "publisher", entry)
        if options is None:
            return None
        selected = [stream for stream in streams if stream.matches(entry.streams)]
        if streams and not selected:
            self._document.add((*where, "streams"), selects_nothing(streams))
        if cls is not None:
            hooks = publisher_hooks(cls)
            for reason in filter(None, (hooks.check_streams(selected, options), hooks.check_options(options))):
                self._document.add(where, reason)
            if entry.kinds and not hooks.takes_messages:
                self._document.add((*where, "kinds"), f"selects messages, and {entry.class_name} takes none; remove it")
            things = hooks.exclusive(options)
            for thing in [things] if isinstance(things, str) else things or ():
                self._claim(thing, where)
            self._claim(hooks.exclusive_by_stream(options), where, frozenset(selected), entry.streams)
        name, policy = str(where[-1]), entry.overflow
        return PublisherSettings(
            name, entry.class_name, options, policy, entry.queue_packets, entry.queue_mb, entry.streams, entry.kinds
        )

    def _claim(
        self, words: str | None, where: Where, streams: frozenset[StreamId] | None = None, patterns: Sequence[str] = ()
    ) -> None:
        if words is None:
            return
        document = self._document
        made = Claimed(document.file, document.line_of(where), where, words, Claim.of(words), streams, patterns)
        before = self._claimed.setdefault(made.claim.thing, [])
        if other := next((each for each in before if each.excludes(made)), None):
            document.add(where, made.problem(other))
        before.append(made)
        self.claims.append(made)

    def _options(
        self, where: Where, kind: registry.Kind, entry: _Entry
    ) -> tuple[dict[str, Any] | None, type[object] | None]:
        """Return the options of an entry and its class; None for options with mistakes, and for a broken class."""
        given = entry.model_extra or {}
        try:
            cls = registry.installed_class(kind, entry.class_name)
        except registry.UnknownClass as error:
            self._document.add((*where, "class"), str(error))
            return None, None
        except ComponentError:
            # A class that is installed and broken is not a mistake of this file: its component fails when it starts,
            # with the reason, and the others do not suffer.
            return given, None
        try:
            options, mistakes = read_options(cls, given, self._folder)
        except ComponentError as error:
            self._document.add((*where, "class"), str(error))
            return None, None
        self._document.add_mistakes(where, mistakes)
        return (None if mistakes else options), cls
