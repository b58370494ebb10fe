"""The signature of a constructor is the schema of its options: their names, types, limits and defaults.

So a class states once, in Python, what a station file may say about it; see
``docs/decisions/constructor-is-the-schema.md``.
"""

import datetime
import functools
import inspect
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from rawdaq.config.registry import suggestion
from rawdaq.errors import ComponentError

#: Parameters that the framework supplies; no station file can set them.
SUPPLIED = frozenset({"publishers", "name", "logger", "loop", "station"})

Where = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

# What YAML 1.1 reads as text, though it looks like a number.
_TEXT_TO_YAML = re.compile(r"[-+]?(0[0-9]+|[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+)")


class Settings(BaseModel):
    """Settings that refuse unknown keys and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Mistake(NamedTuple):
    """One invalid value.

    Attributes:
        where: the keys that lead to it.
        text: what is wrong, and what would be right.
        expects_text: the value should be text, so YAML may have read a word as something else.
        is_missing: the last key is not there.
    """

    where: Where
    text: str
    expects_text: bool = False
    is_missing: bool = False


def parameters(cls: type[object]) -> list[inspect.Parameter]:
    """Return the parameters of the constructor of *cls*, with their annotations evaluated."""
    return list(inspect.signature(cls, eval_str=True).parameters.values())


def option_parameters(cls: type[object]) -> list[inspect.Parameter]:
    """Return the parameters of *cls* that a station file can set; one of the kind VAR_KEYWORD stands for any other."""
    found = [each for each in parameters(cls) if each.kind is not each.VAR_POSITIONAL]
    return [each for each in found if each.kind is each.VAR_KEYWORD or not _is_supplied(each)]


def supplied(cls: type[object]) -> frozenset[str]:
    """Return which parameters of *cls* the framework supplies."""
    return frozenset(parameter.name for parameter in parameters(cls) if _is_supplied(parameter))


def _is_supplied(parameter: inspect.Parameter) -> bool:
    """Whether the framework supplies it; a `bool` called ``loop`` is an option of a player, not an event loop."""
    return parameter.name in SUPPLIED and parameter.annotation is not bool


def read_options(cls: type[object], given: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the options of *cls*, complete with defaults, and the mistakes in *given*.

    Args:
        cls: the class whose constructor takes them.
        given: the options in the station file.
        folder: the base of relative paths.

    Raises:
        ComponentError: the signature of the constructor is not a schema.
    """
    try:
        model = options_model(cls)  # type: ignore[arg-type]  # mypy does not see that classes have a hash
        values, mistakes = validate(model, given)
    # Neither pydantic nor a validator of a class promises what it raises when an annotation makes no sense.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ComponentError(f"{cls.__name__} has a constructor that makes no schema: {reason}; repair it") from error
    if values is None:
        return {}, mistakes
    names = {field.alias or key: key for key, field in model.model_fields.items()}
    options = {name: getattr(values, key) for name, key in names.items()} | (values.model_extra or {})
    return {name: resolved(value, folder) for name, value in options.items()}, []


def resolved(value: Any, folder: Path) -> Any:
    """Return *value*, or a model, with its paths taken from *folder* where they are relative."""
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: resolved(each, folder) for name, each in value})
    return plain(folder / value.expanduser()) if isinstance(value, Path) else value


def plain(path: Path) -> Path:
    """Return *path* without ``..``, resolved as the system does it; the rest after the last ``..`` stays as written."""
    parts = path.parts
    if ".." not in parts:
        return path
    end = len(parts) - parts[::-1].index("..")
    return Path(os.path.realpath(Path(*parts[:end])), *parts[end:])


@functools.cache  # making a model costs as much as using it a hundred times, and a thousand files name few classes
def options_model(cls: type[object]) -> type[BaseModel]:
    """Return a model with one field for each parameter of *cls* that a station file can set."""
    fields: dict[str, Any] = {}
    extra: Literal["allow", "forbid"] = "forbid"
    for parameter in option_parameters(cls):
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = "allow"
        else:
            # An alias, because a parameter may be called what a model already is, such as `copy` or `schema`.
            fields[f"option_{parameter.name}"] = _field(parameter)
    config = ConfigDict(extra=extra, arbitrary_types_allowed=True, protected_namespaces=(), allow_inf_nan=False)
    return create_model(cls.__name__, __config__=config, **fields)


def _field(parameter: inspect.Parameter) -> tuple[Any, Any]:
    annotation = Any if parameter.annotation is parameter.empty else _strict(parameter.annotation)
    if parameter.default is parameter.empty:
        return annotation, Field(alias=parameter.name)
    return annotation, Field(default=parameter.default, alias=parameter.name)


def _strict(annotation: Any) -> Any:
    """Return *annotation* with numbers, booleans and paths made strict (text is strict already)."""
    if annotation in (int, float, bool):
        return Annotated[annotation, Strict()]
    if annotation is Path:
        return PathOption
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_strict(args[0]), *args[1:])]
    if origin in (Union, UnionType):
        return Union[tuple(_strict(each) for each in args)]  # noqa: UP007 - made from a tuple
    if args and origin is not Literal:
        return origin[tuple(_strict(each) for each in args)]
    return annotation


def _check_not_empty(value: Any) -> Any:
    if value == "":  # for pathlib that is the current folder
        raise PydanticCustomError("path_type", "Input should be a path")
    return value


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} begins with a home folder that is not known; write the path without ~") from error


#: A path in a station file.
PathOption = Annotated[Path, BeforeValidator(_check_not_empty), AfterValidator(_expand_home), Field(strict=False)]


def validate(model: type[Model], given: Mapping[Any, Any]) -> tuple[Model | None, list[Mistake]]:
    """Return *given* as *model*, or None and every mistake in it."""
    try:
        return model.model_validate(dict(given)), []
    except ValidationError as error:
        return None, [_mistake(detail, model) for detail in error.errors(include_url=False)]


def _known(annotation: Any, where: Where) -> tuple[str, ...]:
    """Return the keys that are known at *where* below *annotation*; none where it does not say."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or key: field.annotation for key, field in annotation.model_fields.items()}
        if len(where) == 1:
            return tuple(fields)
        return _known(fields[str(where[0])], where[1:]) if where[0] in fields else ()
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _known(args[0], where)
    if origin in (Union, UnionType):
        ways = (where, where[1:]) if len(where) > 1 else (where,)  # pydantic may name the member before its keys
        return next((found for way in ways for each in args if (found := _known(each, way))), ())
    return _known(args[-1], where[1:]) if args and origin is not Literal and len(where) > 1 else ()


def _mistake(detail: ErrorDetails, model: type[BaseModel]) -> Mistake:
    where, kind, value = detail["loc"], detail["type"], detail["input"]
    if kind == "missing":
        return Mistake(where, "is missing; it has no default", is_missing=True)
    if kind == "extra_forbidden":
        return Mistake(where, f"unknown key; {suggestion(str(where[-1]), _known(model, where))}")
    if kind == "value_error":
        return Mistake(where, str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"])
    is_empty = value is None or (isinstance(value, str | list | dict) and not value)
    what = "is empty" if is_empty else f"{shown(value)} is wrong"
    expects_text = kind in ("string_type", "path_type")
    hint = "" if is_empty else _hint(kind, value)
    return Mistake(where, f"{what}; {_expectation(detail)}{hint}", expects_text=expects_text)


def _expectation(detail: ErrorDetails) -> str:
    if detail["type"] == "path_type":
        return "it should be a path"
    # "Input should be ...", "Dictionary should have at least 1 item after validation, not 0"
    before, should, what = detail["msg"].partition(" after validation")[0].partition(" should ")
    return f"it should {what}" if should else before


def _hint(kind: str, value: Any) -> str:
    if kind in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return f" (write {Decimal(value):f})" if _TEXT_TO_YAML.fullmatch(value) else " (without quotes)"
    return ""


def shown(value: Any) -> str:
    """Return *value* as a person would write it, elided at 75 characters.

    >>> shown(["a", 1]), shown(None), shown(True)
    ("['a', 1]", 'an empty value', 'true')
    """
    if value is None or isinstance(value, bool):
        return "an empty value" if value is None else str(value).lower()
    text = str(value) if isinstance(value, datetime.date) else repr(value)
    return text if len(text) <= 75 else f"{text[:74]}…"
