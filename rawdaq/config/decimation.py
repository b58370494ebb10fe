"""The block ``Previews`` of a station file: the streams that come of it."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from rawdaq.config.document import Document
from rawdaq.config.options import Where
from rawdaq.config.settings import PreviewSettings
from rawdaq.stream_id import StreamId, selects_nothing


def preview_streams(
    document: Document, where: Where, previews: Mapping[str, PreviewSettings], sources: Sequence[StreamId]
) -> list[StreamId]:
    """Return the streams that *previews* make of *sources*; those that cannot be are noted in the document.

    Args:
        document: the content of the file.
        where: the block.
        previews: its entries.
        sources: all streams of the receiver; empty when it cannot tell.
    """
    owners = dict.fromkeys(sources, "which the receiver publishes")
    for name, settings in previews.items():
        names = settings.names(sources)
        if sources and not names:
            document.add((*where, name, "streams"), selects_nothing(sources))
        before = frozenset(owners)
        for source, stream in names.items():
            if stream in owners:
                remedy = _free_name(owners) if stream in before else _apart(settings, names)
                document.add((*where, name), f"would make {stream} of {source}, {owners[stream]}; {remedy}")
            owners.setdefault(stream, f"which preview {name} makes of {source}")
    published = frozenset(sources)
    return [stream for stream in owners if stream not in published]


def _free_name(streams: Iterable[StreamId]) -> str:
    """Return how a preview gets a name that none of *streams* has."""
    taken = {stream.location for stream in streams}
    free = next(location for number in itertools.count() if (location := f"P{number}") not in taken)
    return f'give it a name of its own: location: "{free}"'


def _apart(settings: PreviewSettings, sources: Collection[StreamId]) -> str:
    """Return how the previews of *sources*, two of which have one name, get names of their own."""
    remedy = "make one preview for each source, with `streams` and a `location` of its own"
    without = settings.model_copy(update={"location": None}).names(sources)
    return remedy if len(set(without.values())) < len(sources) else f"leave `location` out, or {remedy}"
