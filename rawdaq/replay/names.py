"""Selects streams by their names in the files, and renames them."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from rawdaq.errors import InvalidValue
from rawdaq.stream_id import StreamId

_MAX_NAMES = 10_000  # remembered; a damaged file may hold any number of them
_ANY = StreamId("XX", "XX", "", "HHZ")
_KEPT = "*"


class StreamNames:
    """Selects and renames the streams of files.

    The name of a stream in a file is ``NET.STA.LOC.CHA``; a missing network or station is filled in. Patterns are
    shell-style and are compared with that name.

    Args:
        selected: patterns of the streams to read; none means all.
        rename: new name by pattern; a ``*`` as a code of the new name keeps the file's. The first that fits is used.
        network: for streams without a network in the file.
        station: for streams without a station in the file.

    Attributes:
        passed_over: names that were found and not selected; of very many, some.

    Raises:
        InvalidValue: a new name is invalid.

    >>> names = StreamNames(["IU.*"], {"IU.COLA.*.*": "XX.TEST.*.*"})
    >>> str(names.find("IU.COLA.00.BHZ")), names.find("GE.APE..BHZ")
    ('XX.TEST.00.BHZ', None)
    """

    def __init__(
        self,
        selected: Iterable[str] = (),
        rename: Mapping[str, str] | None = None,
        network: str = "XX",
        station: str = "FILE",
    ) -> None:
        self._selected = tuple(selected)
        self._rename = [(pattern, new_codes(name)) for pattern, name in (rename or {}).items()]
        self._network, self._station = network, station
        self.passed_over: set[str] = set()
        self.find = lru_cache(_MAX_NAMES)(self._find)

    def _find(self, name: str) -> StreamId | None:
        """Return the stream that is called *name* in a file, None when it is not selected.

        Raises:
            InvalidValue: a stream cannot have that name; the text says what to do.
        """
        network, station, *rest = name.split(".")
        codes = [network or self._network, station or self._station, *rest]
        name = ".".join(codes)
        if self._selected and not any(fnmatchcase(name, pattern) for pattern in self._selected):
            if len(self.passed_over) < _MAX_NAMES:
                self.passed_over.add(name)
            return None
        for pattern, new in self._rename:
            if fnmatchcase(name, pattern):
                codes = [old if code == _KEPT else code for code, old in zip(new, codes, strict=False)]
                break
        try:
            return StreamId(*codes)
        except (InvalidValue, TypeError) as error:
            reason = error if isinstance(error, InvalidValue) else "it does not have four codes"
            raise InvalidValue(f"no stream can be called {name!r} ({reason}); give it a name with rename") from error


def new_codes(name: str) -> list[str]:
    """Return the four codes of a new name, in which ``*`` stands for the file's.

    Raises:
        InvalidValue: there are not four, or a code is invalid.
    """
    codes = name.split(".")
    if len(codes) != 4:
        raise InvalidValue(f"new name {name!r} is not NET.STA.LOC.CHA, with * for a code that stays as it is")
    kept = (_ANY.network, _ANY.station, _ANY.location, _ANY.channel)
    StreamId(*(old if code == _KEPT else code for code, old in zip(codes, kept, strict=True)))
    return codes
