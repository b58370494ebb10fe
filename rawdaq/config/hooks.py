"""Questions that a station file asks a receiver's or a publisher's class before anything is built."""

from collections.abc import Mapping
from types import new_class
from typing import Any, TypeVar, cast

from rawdaq.config.settings import StationSettings
from rawdaq.publisher import Publisher
from rawdaq.stream_id import StreamId

T = TypeVar("T")


class ReceiverHooks:
    """What a receiver's class knows of its options before it is built; `ReceiverServer` derives from it.

    The answers let ``check`` report mistakes that no single option shows. A subclass overrides what applies to it.
    """

    @classmethod
    def streams(cls, station: StationSettings, options: Mapping[str, Any]) -> list[StreamId]:
        """Return the streams that a receiver with *options* will publish; empty when they are not known before.

        Args:
            station: the block ``station`` of the file.
            options: the arguments of the constructor, complete with defaults.

        Raises:
            InvalidValue: an option names an invalid stream; the text says why.
        """
        return []

    @classmethod
    def exclusive(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the things, in words, that only one component can have, such as ``UDP port 5000 of ::1``."""
        return []

    @classmethod
    def only_subscribes(cls, options: Mapping[str, Any]) -> bool:
        """Return whether it takes nothing from devices, but what other components or servers publish.

        With publishers that write files it is a writer, which ``control-rawdaq start writer`` starts.
        """
        return False


def receiver_hooks(cls: type[object]) -> type[ReceiverHooks]:
    """Return *cls* with every hook of a receiver: where it does not derive from the base, the defaults are added."""
    return cls if issubclass(cls, ReceiverHooks) else _with_defaults(cls, ReceiverHooks)


def publisher_hooks(cls: type[object]) -> type[Publisher]:
    """Return *cls* with every hook of a publisher: where it does not derive from the base, the defaults are added."""
    return cls if issubclass(cls, Publisher) else _with_defaults(cls, Publisher)


def _with_defaults(cls: type[object], base: type[T]) -> type[T]:
    return cast("type[T]", new_class(cls.__name__, (cls, base)))
