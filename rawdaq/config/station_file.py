"""From the content of a station file to settings: which blocks there are, and what each may say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol, cast, runtime_checkable

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rawdaq.config import registry
from rawdaq.config.decimation import preview_streams
from rawdaq.config.document import Document, dotted
from rawdaq.config.options import Where, read_options
from rawdaq.config.settings import (
    NAME,
    ComponentSettings,
    DaemonSettings,
    PreviewSettings,
    PublisherSettings,
    ReceiverSettings,
    StationSettings,
)
from rawdaq.errors import ComponentError, RawdaqError
from rawdaq.publisher import OverflowPolicy
from rawdaq.stream_id import StreamId, can_meet, selects_nothing

#: Words that commands use beside component names.
_RESERVED = {"all", "receiver", "station"}
#: What a component has.
_BLOCKS = ("Receiver", "Publishers", "Previews", "Daemon")


@runtime_checkable
class NamesStreams(Protocol):
    """A receiver class that can tell its streams before it is built."""

    def streams(self, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the streams that it will publish with *options*."""
        ...


@runtime_checkable
class _ClaimsSeveral(Protocol):
    """A receiver class that can tell what only one component can have, such as ports and files."""

    def exclusive(self, options: Mapping[str, Any]) -> list[str]: ...


@runtime_checkable
class _ChecksStreams(Protocol):
    """A publisher class that can tell whether it is able to carry them."""

    def check_streams(self, streams: list[StreamId], options: Mapping[str, Any]) -> str | None: ...


@runtime_checkable
class _ChecksOptions(Protocol):
    """A publisher class that can tell whether options which are good each are good together."""

    def check_options(self, options: Mapping[str, Any]) -> str | None: ...


@runtime_checkable
class _Claims(Protocol):
    """A publisher class that can tell what only one publisher can have, such as an address."""

    def exclusive(self, options: Mapping[str, Any]) -> str | None: ...


@runtime_checkable
class ClaimsByStream(Protocol):
    """A publisher class that can tell what only one publisher of each stream can have, such as an archive."""

    def exclusive_by_stream(self, options: Mapping[str, Any]) -> str | None:
        """Return that thing, in words; None when there is none."""
        ...


class _Claim(NamedTuple):
    """What a receiver or a publisher must have for itself.

    Attributes:
        where: which one.
        streams: those that it gets, empty when they are not known; None: they do not matter.
        patterns: those that it asks for.
    """

    where: Where
    streams: frozenset[StreamId] | None
    patterns: Sequence[str] = ()

    def excludes(self, other: "_Claim") -> bool:
        """Whether *other* cannot have the same thing too."""
        if dotted(self.where) == dotted(other.where):
            return False  # one name twice, which is told already
        if self.streams is None or other.streams is None:
            return True
        # Publishers of one component share streams, even when nobody can tell which, unless each asks for others.
        asks_for_others = self.patterns and other.patterns and not can_meet(self.patterns, other.patterns)
        is_shared = self.where[0] == other.where[0] and not asks_for_others
        return is_shared or not self.streams.isdisjoint(other.streams)


class _Entry(BaseModel):
    """The keys of a receiver that are not options of its class."""

    model_config = ConfigDict(extra="allow", frozen=True)

    class_name: Annotated[str, Field(alias="class")]


def _policy(word: str) -> OverflowPolicy:
    if word not in list(OverflowPolicy):
        raise ValueError(f"{word!r} is no overflow policy; it should be one of {', '.join(OverflowPolicy)}")
    return OverflowPolicy(word)


class _PublisherEntry(_Entry):
    """The keys of a publisher that are not options of its class."""

    overflow: Annotated[str, AfterValidator(_policy)] | None = None
    queue_packets: Annotated[int, Field(ge=1, strict=True)] | None = None
    queue_mb: Annotated[float, Field(gt=0, strict=True)] | None = None
    streams: list[str] = Field(default_factory=list)


class StationReader:
    """Makes the settings of a station out of its document, and notes there what is wrong.

    Args:
        document: the content of the file.
        folder: what relative paths in it start from.
    """

    def __init__(self, document: Document, folder: Path) -> None:
        self._document = document
        self._folder = folder
        self._claims: dict[str, list[_Claim]] = {}

    def read(self) -> tuple[StationSettings | None, list[ComponentSettings]]:
        """Return what could be made; the document holds the problems of the rest."""
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

    def _name(self, where: Where) -> None:
        name = where[-1]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self._document.add(where, "is no name; it should be 1-48 characters of A-Z a-z 0-9 _ -")
        elif len(where) == 1 and name in _RESERVED:
            self._document.add(where, "is a word of the commands; give the component another name")

    def _component(self, name: Any, value: Any, station: StationSettings | None) -> ComponentSettings | None:
        document, where = self._document, (name,)
        known = len(document.problems)
        self._name(where)
        blocks = document.mapping(where, value, f"a mapping of {', '.join(_BLOCKS)}")
        if blocks is None:
            return None
        for key in [key for key in blocks if key not in _BLOCKS]:
            document.add((*where, key), f"unknown key; {registry.suggestion(str(key), _BLOCKS)}")
        receiver, streams = self._receiver(where, blocks, station)
        previews, streams = self._previews((*where, "Previews"), blocks.get("Previews"), streams)
        publishers = self._publishers((*where, "Publishers"), blocks.get("Publishers"), streams)
        daemon = self._daemon((*where, "Daemon"), blocks.get("Daemon"))
        if len(document.problems) > known or not (station and receiver and daemon):
            return None
        return ComponentSettings(str(name), station, receiver, tuple(publishers), daemon, document.file, previews)

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
        if isinstance(cls, NamesStreams) and station:
            try:
                streams = cls.streams(station, made)
            except (RawdaqError, ValueError) as error:
                self._document.add(where, str(error))
        if isinstance(cls, _ClaimsSeveral):
            for thing in cls.exclusive(made):
                self._claim(thing, _Claim(where, None))
        return ReceiverSettings(entry.class_name, made), streams

    def _previews(
        self, where: Where, value: Any, sources: list[StreamId]
    ) -> tuple[dict[str, PreviewSettings], list[StreamId]]:
        """Return the previews, and all streams with those that they make; none when that cannot be told."""
        document, what = self._document, "a mapping such as {rate_hz: 100}"
        entries = {} if value is None else document.mapping(where, value, "a mapping of names to previews")
        previews: dict[str, PreviewSettings] = {}
        for name, entry in (entries or {}).items():
            self._name((*where, name))
            if made := document.valid((*where, name), PreviewSettings, entry, what):
                previews[str(name)] = made
        if entries is None or len(previews) < len(entries):
            return previews, []
        return previews, [*sources, *preview_streams(document, where, previews, sources)]

    def _publishers(self, where: Where, value: Any, streams: list[StreamId]) -> list[PublisherSettings]:
        entries = {} if value is None else self._document.mapping(where, value, "a mapping of names to publishers")
        made = [self._publisher((*where, name), entry, streams) for name, entry in (entries or {}).items()]
        return [publisher for publisher in made if publisher]

    def _publisher(self, where: Where, value: Any, streams: list[StreamId]) -> PublisherSettings | None:
        self._name(where)
        entry = self._document.valid(where, _PublisherEntry, value, "a mapping with `class`")
        if entry is None:
            return None
        options, cls = self._options(where, "publisher", entry)
        if options is None:
            return None
        wanted = [stream for stream in streams if stream.matches(entry.streams)]
        if streams and not wanted:
            self._document.add((*where, "streams"), selects_nothing(streams))
        if isinstance(cls, _ChecksStreams) and (reason := cls.check_streams(wanted, options)):
            self._document.add(where, reason)
        if isinstance(cls, _ChecksOptions) and (reason := cls.check_options(options)):
            self._document.add(where, reason)
        if isinstance(cls, _Claims):
            self._claim(cls.exclusive(options), _Claim(where, None))
        if isinstance(cls, ClaimsByStream):
            self._claim(cls.exclusive_by_stream(options), _Claim(where, frozenset(wanted), entry.streams))
        name, policy = str(where[-1]), cast("OverflowPolicy | None", entry.overflow)
        return PublisherSettings(
            name, entry.class_name, options, policy, entry.queue_packets, entry.queue_mb, entry.streams
        )

    def _claim(self, thing: str | None, claim: _Claim) -> None:
        if thing is None:
            return
        before = self._claims.setdefault(thing, [])
        if other := next((each for each in before if each.excludes(claim)), None):
            self._document.add(claim.where, f"{thing} is what {dotted(other.where)} has already; give each its own")
        before.append(claim)

    def _options(
        self, where: Where, kind: registry.Kind, entry: _Entry
    ) -> tuple[dict[str, Any] | None, type[object] | None]:
        given = entry.model_extra or {}
        try:
            cls = (registry.receiver_class if kind == "receiver" else registry.publisher_class)(entry.class_name)
        except registry.UnknownClass as error:
            self._document.add((*where, "class"), str(error))
            return None, None
        except ComponentError:
            # A class that is installed and broken is no mistake of this file: its component fails when it starts,
            # with the reason, and the others do not suffer.
            return given, None
        try:
            options, mistakes = read_options(cls, given, self._folder)
        except ComponentError as error:
            self._document.add((*where, "class"), str(error))
            return None, None
        self._document.add_mistakes(where, mistakes)
        return (None if mistakes else options), cls
