"""The block ``Previews`` of a station file: the streams that come of it."""

from collections.abc import Mapping, Sequence

from rawdaq.document import Document
from rawdaq.options import Where
from rawdaq.packet import StreamId
from rawdaq.selection import selects_nothing
from rawdaq.settings import PreviewSettings


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
        for source, stream in names.items():
            if stream in owners:
                text = f'would make {stream} of {source}, {owners[stream]}; give it a name of its own: location: "P0"'
                document.add((*where, name), text)
            owners.setdefault(stream, f"which preview {name} makes of {source}")
    published = frozenset(sources)
    return [stream for stream in owners if stream not in published]
