"""Paths of values in JSON documents."""

from typing import Any

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.protocols.json_path import JsonPath

DOCUMENT: dict[str, Any] = {"a": {"b": [1, {"c d": 2}]}, "$x": 3, "n": None, "a.b": 4}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0]", 1),
        ("$.a.b[-1]['c d']", 2),
        ('$["a"]["b"][1]["c d"]', 2),
        ("$['$x']", 3),
        ("a.b", 4),
        ("$.n", None),
        ("$.missing", None),
        ("$.a.b[2]", None),
        ("$.a.b[-3]", None),
        ("$.a[0]", None),
        ("$.a.b.c", None),
        ("$.n.x", None),
    ],
)
def test_a_path_finds_one_value_or_none(path: str, value: object) -> None:
    assert JsonPath.parse(path).find(DOCUMENT) == value


@pytest.mark.parametrize("path", ["", "$.", "$a", "$.a..b", "$[*]", "$.a[x]", "$.a[", "$[1:2]", "$['']", "$.a b"])
def test_what_is_no_path_of_one_value_is_refused(path: str) -> None:
    with pytest.raises(InvalidValue):
        JsonPath.parse(path)
