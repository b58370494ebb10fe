"""Where a value stands in a JSON document: ``$.a.b[0]``, the part of JSONPath (RFC 9535) that names one value.

>>> JsonPath.parse("$.sensors[1]['air temperature']").find({"sensors": [{}, {"air temperature": 21.5}]})
21.5
>>> JsonPath.parse("uptime").find({"uptime": 7})
7
"""

import re
from typing import Any, cast

from rawdaq.errors import InvalidValue

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"\s]+) | \[(?P<index>-?\d{1,9})\] | \['(?P<single>[^']+)'\] | \["(?P<double>[^"]+)"\]""",
    re.VERBOSE | re.ASCII,
)


class JsonPath:
    """Finds one value.

    Args:
        steps: the names of objects' values and the indices of lists'.
    """

    def __init__(self, steps: tuple[str | int, ...]) -> None:
        self.steps = steps

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """Return the path that *text* writes; without ``$`` in front it is the name of a value of the document.

        Raises:
            InvalidValue: it is no such path.
        """
        if not text.startswith("$"):
            if not text:
                raise InvalidValue("a path is empty; it should be like $.sensors[0].temperature")
            return cls((text,))
        steps: list[str | int] = []
        at = 1
        while at < len(text):
            match = _STEP.match(text, at)
            if match is None:
                raise InvalidValue(f"{text!r} is no path of one value, such as $.sensors[0].temperature")
            name = match["name"] or match["single"] or match["double"]
            steps.append(int(match["index"]) if name is None else name)
            at = match.end()
        return cls(tuple(steps))

    def find(self, document: Any) -> Any:
        """Return the value; None where the document has none."""
        value: Any = document
        for step in self.steps:
            if isinstance(step, str):
                value = cast("dict[str, Any]", value).get(step) if isinstance(value, dict) else None
            else:
                items = cast("list[object]", value) if isinstance(value, list) else []
                value = items[step] if -len(items) <= step < len(items) else None
        return value
