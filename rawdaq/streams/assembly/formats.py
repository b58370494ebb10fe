"""Formats of readouts by name, as a station file says them; those of outside packages come through entry points."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from rawdaq.config.options import read_options
from rawdaq.config.registry import installed_class
from rawdaq.errors import InvalidValue
from rawdaq.streams.assembly.readout_format import ReadoutFormat


def _check_format(given: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(given, dict) and len(given) != 1:
        raise ValueError("one format is needed, such as raw, or with its options {raw: {type: int16}}")
    return given


#: A format by its name, or its name with its options.
FormatOption = Annotated[str | dict[str, Any], AfterValidator(_check_format)]


def make_format(given: str | Mapping[str, Any]) -> ReadoutFormat:
    """Return the format that a station file names.

    Raises:
        InvalidValue: it has other options, or is no format.
        UnknownClass: no such format is installed.
        ComponentError: it is installed, but cannot be used.
    """
    name: str = given if isinstance(given, str) else next(iter(given))
    options: Mapping[str, Any] = {} if isinstance(given, str) else given[name] or {}
    cls = installed_class("readout_format", name)
    if not issubclass(cls, ReadoutFormat):
        raise InvalidValue(f"format {name} is not a ReadoutFormat; repair the package that brings it")
    values, mistakes = read_options(cls, options, Path())
    if mistakes:
        texts = [f"{' '.join(map(str, each.where))}: {each.text}" for each in mistakes]
        raise InvalidValue(f"format {name}: {'; '.join(texts)}")
    try:
        return cls(**values)
    except InvalidValue as error:
        raise InvalidValue(f"format {name}: {error}") from error
