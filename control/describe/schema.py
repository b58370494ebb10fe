"""The JSON schema of a station file, for editors: of the same constructors and models that validate the file.

What only code can check, such as two channels of one name or a port that is taken, it does not say: ``check`` does.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind, models_json_schema
from pydantic_core import core_schema

from rawdaq.config import describe, registry
from rawdaq.config.describe import Description
from rawdaq.config.options import options_model
from rawdaq.config.settings import NAME
from rawdaq.config.station_file import BLOCK_NAMES, FORMER_DECIMATION, RESERVED
from rawdaq.control.describe.words import sentence
from rawdaq.errors import ComponentError

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFS = "#/$defs/"
_NAME = f"^{NAME.pattern}$"
#: Blocks of a component that hold entries by name; the value of the others is the block itself.
_NAMED = ("Publishers", "Decimation")


class _Generator(GenerateJsonSchema):
    """Makes schemas with the meanings that docstrings give, and without titles that only repeat names."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - pydantic's form
        "skipped-choice",
        "non-serializable-default",
    }

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return that no field needs one."""
        return False

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        """Return that any value may be right where a class checks it with its own code."""
        return {}

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        """Return the schema of a block, with what its docstring says."""
        made = super().model_schema(schema)
        made.pop("title", None)
        model = schema["cls"]
        return _described(made, describe.describe_model(model)) if (model.__doc__ or "").strip() else made


def station_schema() -> tuple[Schema, list[str]]:
    """Return the schema of a station file with all installed classes, and why some of them have no options in it."""
    unusable: list[str] = []
    receivers, publishers = dict(_usable("receiver", unusable)), dict(_usable("publisher", unusable))
    blocks = describe.BLOCKS
    models = [*blocks.values(), *(model for _, model in (*receivers.values(), *publishers.values()))]
    refs, made = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)],
        ref_template=_DEFS + "{model}",
        schema_generator=_Generator,
    )
    defs: Schema = made["$defs"]

    def take(model: type[BaseModel]) -> Schema:
        found: Schema = defs[refs[model, "validation"]["$ref"].removeprefix(_DEFS)]
        return found

    entry: Schema = take(blocks["Publishers"])["properties"]
    none: Schema = {}
    for kind, classes, keys in (("receiver", receivers, none), ("publisher", publishers, entry)):
        for name, (described, model) in classes.items():
            defs[f"{kind}.{name}"] = _class_schema(described, take(model), keys)
    for model in {id(model): model for _, model in (*receivers.values(), *publishers.values())}.values():
        defs.pop(refs[model, "validation"]["$ref"].removeprefix(_DEFS), None)
    defs.pop(refs[blocks["Publishers"], "validation"]["$ref"].removeprefix(_DEFS))
    defs["receiver"] = _any_class("receiver", registry.installed_names("receiver"), receivers)
    defs["publisher"] = _any_class("publisher", registry.installed_names("publisher"), publishers)
    values = {name: refs[model, "validation"] for name, model in blocks.items() if name != "Publishers"}
    defs["component"] = _component(values | {"Receiver": _ref("receiver"), "Publishers": _ref("publisher")})
    return _document(refs[blocks["station"], "validation"], defs), unusable


_Classes = dict[str, tuple[Description, type[BaseModel]]]


def _usable(kind: registry.Kind, unusable: list[str]) -> Iterator[tuple[str, tuple[Description, type[BaseModel]]]]:
    """Yield the classes of a *kind* with their options; why others cannot be used is added to *unusable*."""
    for name in registry.installed_names(kind):
        try:
            cls = registry.installed_class(kind, name)
            yield name, (describe.describe_class(name, cls), options_model(cls))  # type: ignore[arg-type]
        except ComponentError as error:
            unusable.append(str(error))
        except Exception as error:  # what other packages wrote into annotations can raise anything
            unusable.append(f"{kind} {name} has a constructor that makes no schema: {error}; repair it")


def _described(made: Schema, said: Description) -> Schema:
    """Return *made* with the meanings of its keys."""
    meanings = {option.name: option.meaning for option in said.options}
    for key, value in made.get("properties", {}).items():
        if meanings.get(key):
            value["description"] = _plain(sentence(meanings[key]))
    return made | ({"description": _plain(said.summary)} if said.summary else {})


def _plain(text: str) -> str:
    return text.replace("``", "").replace("`", "")


def _class_schema(said: Description, options: Schema, keys: Mapping[str, Schema]) -> Schema:
    """Return the schema of an entry of one class: its options beside *keys*, which all such entries have."""
    own = _described(options, said)
    named = {"const": said.name, "description": _plain(said.summary)}
    required = ["class", *own.get("required", [])]
    properties = {**keys, "class": named, **own.get("properties", {})}
    return own | {"properties": properties, "required": required}


def _any_class(kind: registry.Kind, names: tuple[str, ...], usable: _Classes) -> Schema:
    """Return the schema of an entry of any of the classes called *names*; *usable* ones state their options."""
    choices = [
        {"if": {"properties": {"class": {"const": name}}, "required": ["class"]}, "then": _ref(f"{kind}.{name}")}
        for name in usable
    ]
    named = {"enum": list(names), "description": f"The registered name of a {kind}."}
    return {"type": "object", "properties": {"class": named}, "required": ["class"], "allOf": choices}


def _component(values: Mapping[str, Schema]) -> Schema:
    properties: Schema = {}
    for name in BLOCK_NAMES:
        if name in _NAMED:
            entries = {"propertyNames": {"pattern": _NAME}, "additionalProperties": values[name]}
            properties[name] = {"type": ["object", "null"], **entries}
        elif name == "Receiver":
            properties[name] = values[name]
        else:
            properties[name] = {"anyOf": [values[name], {"type": "null"}]}
    former = properties["Decimation"] | {"deprecated": True, "description": "The former name of Decimation."}
    return {
        "type": "object",
        "description": "One receiver with its publishers, which run as one process.",
        "properties": properties | {FORMER_DECIMATION: former},
        "required": ["Receiver"],
        "additionalProperties": False,
    }


def _document(station: Schema, defs: Schema) -> Schema:
    return {
        "$schema": DIALECT,
        "title": "A station file of rawdaq",
        "type": "object",
        "properties": {"station": station},
        "propertyNames": {"pattern": _NAME, "not": {"enum": sorted(RESERVED - {"station"})}},
        "required": ["station"],
        "additionalProperties": _ref("component"),
        "minProperties": 2,
        "$defs": dict(sorted(defs.items())),
    }


def _ref(name: str) -> Schema:
    return {"$ref": _DEFS + name}
