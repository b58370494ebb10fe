"""Which columns of a table fit into a terminal: whole ones, so that no name, number or time is broken."""

from collections.abc import Collection, Mapping, Sequence

_LEAST_TEXT = 12  # of a text that is cut, less says nothing


def fitting(
    cells: Mapping[str, Sequence[str]], width: int, gap: int, texts: Collection[str] = ()
) -> dict[str, int | None]:
    """Return the columns that fit, the most important first, with the width to which one must be cut, usually None.

    >>> cells = {"stream": ["XX.A..HHZ"], "gaps": ["12"], "reason": ["the disk is full, and more"]}
    >>> fitting(cells, 80, 2), fitting(cells, 30, 2), fitting(cells, 30, 2, ["reason"]), fitting(cells, 12, 2)
    ({'stream': None, 'gaps': None, 'reason': None}, {'stream': None, 'gaps': None}, {'stream': None, 'gaps': None, \
'reason': 13}, {'stream': None})

    Args:
        cells: what is in each column, the most important column first; that one is always shown.
        width: of the terminal.
        gap: between two columns.
        texts: columns that may be cut; the first that does not fit is, and what is less important is left out.
    """
    shown: dict[str, int | None] = {}
    for column, values in cells.items():
        needed = max(len(column), *map(len, values))
        if not shown or needed <= width:
            shown[column] = None
        elif column in texts and width >= _LEAST_TEXT:
            shown[column] = width
        if column not in shown or shown[column] is not None:
            break
        width -= needed + gap
    return shown
