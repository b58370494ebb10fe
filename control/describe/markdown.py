"""Descriptions as Markdown: the files of ``docs/reference``."""

from collections.abc import Iterator, Mapping, Sequence

from rawdaq.config.describe import Option
from rawdaq.control.describe.words import HEADINGS, QUEUE, Kind, Subject, is_ours, lines, names, sentence, subject

_MADE = "<!-- Made from the docstrings by `make reference`: change those. -->"
_FILES: Mapping[Kind, str] = {"receiver": "receivers.md", "publisher": "publishers.md", "block": "blocks.md"}


def reference() -> dict[str, str]:
    """Return the reference of what rawdaq itself brings, as the text of each file by its name."""
    own = [subject(kind, name) for kind in HEADINGS for name in names(kind) if is_ours(kind, name)]
    files = {_FILES[kind]: _file(kind, [each for each in own if each.kind == kind]) for kind in HEADINGS}
    return {"README.md": _index(own)} | files


def _index(subjects: Sequence[Subject]) -> str:
    rows = [
        f"| [`{each.name}`]({_FILES[each.kind]}#{each.name.lower()}) | {_cell(each.description.summary)} |"
        for each in subjects
    ]
    head = ["# What a station file may say", "", _MADE, ""]
    more = "`control-rawdaq describe NAME` shows the same, also of classes that other packages bring."
    return "\n".join([*head, more, "", "| name | what it is |", "|---|---|", *rows, ""])


def _file(kind: Kind, subjects: Sequence[Subject]) -> str:
    parts = [line for each in subjects for line in _section(each)]
    return "\n".join([f"# {HEADINGS[kind]}", "", _MADE, *parts, ""])


def _section(subject: Subject) -> Iterator[str]:
    described = subject.description
    yield from ["", f"## {subject.name}"]
    for paragraph in (described.summary, *described.text):
        yield from ["", _code(paragraph)]
    yield from ["", "| option | its value | default | means |", "|---|---|---|---|"]
    for name, option in lines(described.options):
        yield f"| `{name}` | {_cell(option.type)} | {_default(option)} | {_cell(sentence(option.meaning))} |"
    if described.takes_others:
        yield from ["", "It takes further keys too."]
    if subject.queue:
        yield from ["", QUEUE.format_map({key: f"`{value}`" for key, value in subject.queue.items()})]


def _default(option: Option) -> str:
    return "must be given" if option.default is None else f"`{_cell(option.default)}`"


def _code(text: str) -> str:
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return _code(text).replace("|", "\\|")
