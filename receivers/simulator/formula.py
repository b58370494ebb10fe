"""Values of simulated devices as arithmetic of their slot, channel and number, so that a test can check every one."""

import ast
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from rawdaq.errors import InvalidValue

_MAX_TEXT: Final = 200
_Two = Callable[[Any, Any], Any]
_BINARY: Final[Mapping[type[ast.operator], _Two]] = {
    ast.Add: lambda first, second: first + second,
    ast.Sub: lambda first, second: first - second,
    ast.Mult: lambda first, second: first * second,
    ast.Div: lambda first, second: first / second,
    ast.FloorDiv: lambda first, second: first // second,
    ast.Mod: lambda first, second: first % second,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.USub: lambda value: -value,
    ast.UAdd: lambda value: value,
}

#: What an expression is made of: from the values of its names to its own.
_Node = Callable[[Mapping[str, Any]], Any]


class Formula:
    """An arithmetic expression: numbers, names, ``+ - * / // %`` and parentheses.

    >>> Formula("slot * 100 + channel", ("slot", "channel"))({"slot": 3, "channel": 7})
    307

    Args:
        text: the expression.
        names: what it may refer to.

    Raises:
        InvalidValue: it is something else; the text says what.
    """

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = text
        self._names = names
        if len(text) > _MAX_TEXT:
            raise InvalidValue(f"a formula of {len(text)} characters is longer than {_MAX_TEXT}")
        try:
            with warnings.catch_warnings(action="error", category=SyntaxWarning):  # of "2slot", which Python reads
                tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InvalidValue(f"{text!r} is not a formula of {', '.join(names)}") from error
        self._root = self._node(tree.body)

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Return its value; values may be arrays of numpy.

        Raises:
            ZeroDivisionError: a divisor is 0.
        """
        return self._root(values)

    def _node(self, node: ast.expr) -> _Node:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return lambda _: number
            case ast.Name(id=name) if name in self._names:
                return lambda values: values[name]
            case ast.BinOp(left, kind, right) if type(kind) in _BINARY:
                return _both(_BINARY[type(kind)], self._node(left), self._node(right))
            case ast.UnaryOp(kind, operand) if type(kind) in _UNARY:
                return _one(_UNARY[type(kind)], self._node(operand))
            case _:
                part = ast.unparse(node)
                known = f"numbers, {', '.join(self._names)}, + - * / // % and parentheses"
                raise InvalidValue(f"{part!r} in the formula {self.text!r} is not understood: it may have {known}")


def _both(function: Callable[[Any, Any], Any], first: _Node, second: _Node) -> _Node:
    return lambda values: function(first(values), second(values))


def _one(function: Callable[[Any], Any], operand: _Node) -> _Node:
    return lambda values: function(operand(values))
