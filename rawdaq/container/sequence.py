"""Random access to objects that stand in blocks: what readers of container files of all kinds can do."""

import logging
from abc import abstractmethod
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeVar, overload

from rawdaq.container.errors import BlockDamaged
from rawdaq.container.format.scan import Damage
from rawdaq.container.open_file import OpenFile

T = TypeVar("T")

_CACHED_BLOCKS: Final = 8


class Stored(NamedTuple, Generic[T]):
    """An object of a file.

    Attributes:
        number: of the object in its file, from 0; where a block is lost, its numbers are.
        time_ns: its time; None where the file has none.
        item: what was written.
    """

    number: int
    time_ns: int | None
    item: T


#: Returns an object of a block by its place in that; raises `BlockDamaged` where it is damaged.
Loaded = Callable[[int], Stored[T]]


class BlockSequence(OpenFile, Generic[T]):
    """Objects in blocks; a subclass loads a block.

    An index counts what can be found: objects of a block whose header is damaged have none.

    Args:
        name: of the file, for the log.
        log: where damages are logged.

    Attributes:
        damaged: what was found to be damaged so far: when the file was opened, and in blocks that were read since.
    """

    def __init__(self, name: str, log: logging.Logger) -> None:
        self.damaged: list[Damage] = []
        self._name = name
        self._log = log
        self._begins: list[int] = []  # of each block, the index of its first object
        self._length = 0
        self._cache: OrderedDict[int, Loaded[T]] = OrderedDict()

    @abstractmethod
    def _load(self, block: int) -> Loaded[T]:
        """Return the objects of a block.

        Raises:
            BlockDamaged: it is damaged.
        """

    @abstractmethod
    def _place(self, block: int) -> Damage:
        """Return where a block stands in the file; the reason is empty."""

    def _add_blocks(self, counts: Iterable[int]) -> None:
        """Take note of how many objects the next blocks have."""
        for count in counts:
            self._begins.append(self._length)
            self._length += count

    def __len__(self) -> int:
        """Return how many objects there are."""
        return self._length

    @overload
    def __getitem__(self, key: int) -> T: ...
    @overload
    def __getitem__(self, key: "slice | Iterable[int]") -> list[T]: ...
    def __getitem__(self, key: "int | slice | Iterable[int]") -> T | list[T]:
        """Return an object by its index, which may be negative; a list of them for a slice or several indices.

        Raises:
            IndexError: there is no such object.
            BlockDamaged: it is damaged.
        """
        if isinstance(key, int):
            return self.stored(key).item
        indices = range(*key.indices(len(self))) if isinstance(key, slice) else key
        return [self.stored(index).item for index in indices]

    def stored(self, index: int) -> Stored[T]:
        """Return an object with its number and time.

        Raises:
            IndexError: there is no such object.
            BlockDamaged: it is damaged.
        """
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"{self._name} has {len(self)} objects, none with index {index}")
        block = bisect_right(self._begins, place) - 1
        return self._loaded(block)(place - self._begins[block])

    def __iter__(self) -> Iterator[T]:
        """Yield all objects; what is damaged is passed over, logged, and added to `damaged`."""
        return (stored.item for stored in self.walk())

    def walk(self, start: int = 0) -> Iterator[Stored[T]]:
        """Yield the objects from the index *start* on with their numbers and times, and pass over what is damaged."""
        for block in range(max(0, bisect_right(self._begins, start) - 1), len(self._begins)):
            yield from self._good(block, max(0, start - self._begins[block]))

    def check(self) -> Sequence[Damage]:
        """Read all of it; return what is damaged."""
        for _ in self.walk():
            pass
        return self.damaged

    def _count(self, block: int) -> int:
        """Return how many objects a block has."""
        end = self._begins[block + 1] if block + 1 < len(self._begins) else self._length
        return end - self._begins[block]

    def _good(self, block: int, start: int = 0) -> Iterator[Stored[T]]:
        """Yield the objects of a block from one on."""
        try:
            loaded = self._loaded(block)
        except BlockDamaged as error:
            self._tell(self._place(block)._replace(reason=error.reason))
            return
        for place in range(start, self._count(block)):
            try:
                stored = loaded(place)
            except BlockDamaged as error:
                self._tell(self._place(block)._replace(reason=error.reason))
            else:
                yield stored

    def _loaded(self, block: int) -> Loaded[T]:
        loaded = self._cache.get(block)
        if loaded is None:
            loaded = self._cache[block] = self._load(block)
            if len(self._cache) > _CACHED_BLOCKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(block)
        return loaded

    def _tell(self, damage: Damage) -> None:
        if damage not in self.damaged:
            self.damaged.append(damage)
            self._log.warning("%s: %s", self._name, describe(damage))


def describe(damage: Damage) -> str:
    """Return *damage* in one line.

    >>> describe(Damage(72, 500, 0, "its crc does not fit"))
    'block 0 (500 bytes at 72) is passed over: its crc does not fit'
    """
    what = "something" if damage.number is None else f"block {damage.number}"
    return f"{what} ({damage.size_bytes} bytes at {damage.offset}) is passed over: {damage.reason}"
