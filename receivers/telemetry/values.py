"""Finds the values of an answer: by their path in JSON, by a regular expression in any text. None is ever made up."""

import datetime
import decimal
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from rawdaq.packet import Packet
from rawdaq.protocols.json_path import JsonPath
from rawdaq.receivers.telemetry.settings import ValueSettings
from rawdaq.receivers.telemetry.sources import NoAnswer
from rawdaq.stream_id import StreamId

#: Of an answer without named values, which is published whole: a header has a limit.
MAX_WHOLE_BYTES = 16_384
_INT32 = 1 << 31

Value = bool | int | float | str | None


class Answer(NamedTuple):
    """What an answer says.

    Attributes:
        values: by name, null where the answer has none.
        missing: the names of those, each with why.
    """

    values: dict[str, Any]
    missing: dict[str, str]


class Values:
    """Reads answers.

    Args:
        settings: of each value by name; none: answers are published whole.
    """

    def __init__(self, settings: Mapping[str, ValueSettings]) -> None:
        self._settings = settings
        self._paths = {
            name: JsonPath.parse(each.path or f"$['{name}']")
            for name, each in settings.items()
            if each.expression is None
        }
        self._expressions = {
            name: re.compile(each.expression) for name, each in settings.items() if each.expression is not None
        }

    def read(self, answer: bytes | dict[str, object]) -> Answer:
        """Return what *answer* says.

        Raises:
            NoAnswer: it is no JSON, where that is needed.
        """
        document = self._document(answer) if self._paths or not self._settings else None
        if not self._settings:
            return Answer(_whole(document), {})
        values: dict[str, Any] = {}
        missing: dict[str, str] = {}
        text = str(answer) if isinstance(answer, dict) else answer.decode("utf-8", "replace")
        for name in self._settings:
            found = self._find(name, document, text)
            values[name] = found if isinstance(found, bool | int | float | str) else None
            if values[name] is None or (isinstance(found, float) and not math.isfinite(found)):
                values[name] = None
                missing[name] = "it is not there" if found is None else f"it is {found!r:.75}, neither number nor text"
        return Answer(values, missing)

    def _document(self, answer: bytes | dict[str, object]) -> object:
        if isinstance(answer, dict):
            return {name: _plain(value) for name, value in answer.items()}
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise NoAnswer(f"the answer is not JSON: {error}") from None

    def _find(self, name: str, document: object, text: str) -> Any:
        if name in self._paths:
            return self._paths[name].find(document)
        match = self._expressions[name].search(text)
        return None if match is None else _number(match[1])


def _plain(value: object) -> object:
    """Return a value of a database in what JSON has."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value


def _number(text: str | None) -> Value:
    """Return *text* as the number that it writes, else as it is."""
    for kind in (int, float):
        try:
            return None if text is None else kind(text)
        except ValueError:
            continue
    return text


def _whole(document: object) -> dict[str, Any]:
    values = cast("dict[str, Any]", document) if isinstance(document, dict) else {"value": document}
    try:
        size_bytes = len(json.dumps(values, default=str))
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"the answer cannot be published: {error}") from None
    if size_bytes > MAX_WHOLE_BYTES:
        raise NoAnswer(f"an answer of {size_bytes} bytes; name the values that you need with `values`")
    return {name: value if _is_json(value) else str(value) for name, value in values.items()}


def _is_json(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | dict)


def sample(stream: StreamId, value: Value, scale: float | None, start_ns: int, every_ns: int) -> Packet | str:
    """Return the packet of one sample of *value*, or why it can be none.

    Args:
        stream: its name.
        value: what the source says.
        scale: what it is multiplied by, to be rounded to int32; None: it is a float32.
        start_ns: its time.
        every_ns: between two of them.
    """
    if isinstance(value, str):
        value = _number(value)
    if value is None or isinstance(value, str):
        return "it is no number"
    try:
        number = float(value) * (1 if scale is None else scale)
    except OverflowError:
        number = math.inf
    if scale is not None and not abs(number) < _INT32 - 1:
        return f"{number:g} does not fit into int32; choose another scale"
    if not math.isfinite(number) or abs(number) > float(np.finfo(np.float32).max):
        return f"{number:g} does not fit into float32; give it a scale"
    samples = np.array([number], "<f4") if scale is None else np.array([round(number)], "<i4")
    return Packet(stream, start_ns, 1e9 / every_ns, samples)
