"""Expressions of MATCH and REJECT: which streams they select by name."""

import re

from rawdaq.errors import InvalidValue


class Expression:
    """A regular expression, searched anywhere in a name.

    Args:
        text: the expression; empty selects all.

    Raises:
        InvalidValue: it is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidValue(f"not an expression: {error}") from None

    def selects(self, name: str) -> bool:
        """Whether it is found in *name*."""
        return self._compiled.search(name) is not None
