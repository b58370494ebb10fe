"""Descriptions as plain text of a given width."""

import textwrap
from collections.abc import Iterator, Sequence

from rawdaq.config.describe import Option
from rawdaq.control.describe.words import HEADINGS, QUEUE, Subject, lines, sentence

_INDENT = "    "


def overview(subjects: Sequence[Subject], width: int) -> str:
    """Return a line for each subject, by kind."""
    return "\n\n".join(
        "\n".join([heading, *(_line(each, width) for each in subjects if each.kind == kind)])
        for kind, heading in HEADINGS.items()
    )


def _line(subject: Subject, width: int) -> str:
    start = f"  {subject.name:24}"
    summary = _plain(subject.description.summary).rstrip(".")
    return textwrap.fill(summary, width, initial_indent=start, subsequent_indent=" " * len(start))


def details(subject: Subject, width: int) -> str:
    """Return all about one subject."""
    return "\n".join(_details(subject, width))


def _details(subject: Subject, width: int) -> Iterator[str]:
    described = subject.description
    yield f"{subject.name} ({subject.kind})"
    for paragraph in (described.summary, *described.text):
        yield from ["", *_wrapped(paragraph, width)]
    yield ""
    for name, option in lines(described.options):
        yield f"{name}: {_value(option)}"
        yield from _wrapped(sentence(option.meaning), width, _INDENT)
    if described.takes_others:
        yield "It takes further keys too."
    if subject.queue:
        yield from ["", *_wrapped(QUEUE.format_map(subject.queue), width)]


def _value(option: Option) -> str:
    return f"{option.type}; {'must be given' if option.default is None else f'default {option.default}'}"


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(_plain(text), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _plain(text: str) -> str:
    return text.replace("`", "")
