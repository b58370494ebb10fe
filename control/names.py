"""How users name components: by name, by ``STATION/NAME``, or by the beginning of either."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from rawdaq.config import ComponentSettings, StationFile
from rawdaq.errors import RawdaqError
from rawdaq.process.runs import Ended, Running
from rawdaq.process.runtime_files import RuntimeFiles


class NoSuchComponent(RawdaqError):
    """A word names no component, or several.

    Args:
        word: the word.
        titles: the components that it may mean, or all when it means none.
        is_ambiguous: whether it names several.
    """

    def __init__(self, word: str, titles: tuple[str, ...], is_ambiguous: bool) -> None:
        super().__init__(word, titles, is_ambiguous)
        self.word, self.titles, self.is_ambiguous = word, titles, is_ambiguous

    def __str__(self) -> str:
        if self.is_ambiguous:
            return f"{self.word!r} can be any of {', '.join(self.titles)}; give more of the name"
        close = get_close_matches(self.word, self.titles, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        return f"no component is called {self.word!r}; {meant}known: {', '.join(self.titles) or 'none'}"


class NoSuchGroup(NoSuchComponent):
    """A shared process runs only for other configurations than that of the command; *titles* are their paths."""

    def __str__(self) -> str:
        return f"{self.word} is a process of {' and of '.join(self.titles)}: name its configuration with -c"


@dataclass(frozen=True, slots=True)
class Target:
    """A component that a command can be about.

    Attributes:
        key: ``NET.STA.NAME``.
        title: its name in messages: ``STA/NAME``, with the network where that is not unique.
        settings: what its station file says; None when it runs from a file that was not named.
        running: what its pid file says; None without one.
        ended: how its last run ended, when that was not stopped in order.
    """

    key: str
    title: str
    settings: ComponentSettings | None
    running: Running | None
    ended: Ended | None = None

    @property
    def name(self) -> str:
        """Its name in the station file."""
        return self.key.split(".", 2)[2]

    @property
    def station(self) -> str:
        """``NET.STA``."""
        return self.key.rsplit(".", 1)[0]

    @property
    def state(self) -> str:
        """``running``, ``dead`` (it ended without tidying up), ``failed`` (it ended with an error) or ``stopped``."""
        if self.running is None:
            return "failed" if self.ended else "stopped"
        return "running" if self.running.is_alive else "dead"

    @property
    def started_from(self) -> Path | None:
        """The station file of its run, or of its last one when that was not stopped in order."""
        run = self.running or self.ended
        return run.config if run else None


def words_of(key: str) -> set[str]:
    """Return all names of the component *key*.

    >>> sorted(words_of("XX.DEMO.Raw"))
    ['DEMO/Raw', 'Raw', 'XX.DEMO.Raw', 'XX.DEMO/Raw']
    """
    network, station, name = key.split(".", 2)
    return {name, f"{station}/{name}", f"{network}.{station}/{name}", key}


def targets(files: Sequence[StationFile], runtime: RuntimeFiles) -> list[Target]:
    """Return the components of *files* in their order, then others that run or have failed."""
    settings = {component.key: component for file in files for component in file.components}
    left = sorted({*runtime.keys(), *runtime.failed_keys()})
    keys = [*settings, *(key for key in left if key not in settings and key.count(".") == 2)]
    titles = _titles(keys)
    return [Target(key, titles[key], settings.get(key), runtime.running(key), runtime.ended(key)) for key in keys]


def _titles(keys: Sequence[str]) -> dict[str, str]:
    parts = {key: key.split(".", 2) for key in keys}
    short = {key: f"{station}/{name}" for key, (_, station, name) in parts.items()}
    uses = Counter(short.values())
    return {key: title if uses[title] == 1 else f"{parts[key][0]}.{title}" for key, title in short.items()}


def resolve(word: str, known: Sequence[Target]) -> Target:
    """Return the component that *word* names; of several the one that runs, if it is the only one.

    Raises:
        NoSuchComponent: the word names none, or several.
    """
    exact = [target for target in known if word in words_of(target.key)]
    found = exact or [target for target in known if any(each.startswith(word) for each in words_of(target.key))]
    alive = [target for target in found if target.state == "running"]
    for candidates in (found, alive):
        if len(candidates) == 1:
            return candidates[0]
    raise NoSuchComponent(word, tuple(target.title for target in found or known), is_ambiguous=bool(found))


def resolve_all(
    words: Sequence[str], known: Sequence[Target], others: Sequence[Target] = (), group_of: "GroupOf | None" = None
) -> list[Target]:
    """Return the components that *words* name, each once; ``all`` names all, ``group.N`` all that share that process.

    Args:
        words: the words.
        known: the components that the command is about.
        others: further components, which a word names only when it names none of *known*.
        group_of: the configuration whose processes are meant; None: there is none.

    Raises:
        NoSuchComponent: a word names none, or several.
    """
    if "all" in words:
        return list(known)
    groups = group_of or GroupOf(None, is_named=False)
    found = [target for word in words for target in _resolve_word(word, known, others, groups)]
    return list({target.key: target for target in found}.values())


def _resolve_word(word: str, known: Sequence[Target], others: Sequence[Target], groups: "GroupOf") -> Sequence[Target]:
    if members := groups.members(word, (*known, *others)):
        return members
    try:
        return [resolve(word, known)]
    except NoSuchComponent as error:
        with suppress(NoSuchComponent):
            return [resolve(word, () if error.is_ambiguous else others)]
        raise


@dataclass(frozen=True, slots=True)
class GroupOf:
    """Which configuration's processes are meant by ``group.N``.

    Attributes:
        configuration: the station file, or the folder of them, of the command.
        is_named: whether the command line or the environment names it; a process of another one is not meant then.
    """

    configuration: Path | None
    is_named: bool

    def members(self, word: str, known: Sequence[Target]) -> list[Target]:
        """Return the components that share the process *word*; none when no such process runs.

        Raises:
            NoSuchGroup: it runs for other configurations only, and it is not clear that one of them is meant.
        """
        by_configuration: dict[Path | None, list[Target]] = {}
        for target in known:
            if target.running and target.running.is_alive and target.running.group == word:
                by_configuration.setdefault(target.running.configuration, []).append(target)
        if self.configuration in by_configuration or not by_configuration:
            return by_configuration.get(self.configuration, [])
        if len(by_configuration) == 1 and not self.is_named:
            return next(iter(by_configuration.values()))
        raise NoSuchGroup(word, tuple(sorted(map(str, by_configuration))), is_ambiguous=False)
