"""The OpenAPI 3.1 document of a table of routes."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from rawdaq.control.rest.routes import Api, Json, Route

#: What every request may be answered.
COMMON = {
    401: "the token is missing or wrong",
    403: "the request comes from a web page of another server",
    405: "the path has another method",
    421: "the server is not called so",
    429: "there were too many wrong tokens",
    500: "a bug; the log has its traceback",
    503: "too many requests at once",
}
#: What a request with a body may be answered besides.
WITH_BODY = {
    400: "the body is not a JSON object of this kind",
    413: "the body is too large",
    415: "the body is not declared as JSON",
}
#: What one with parameters, or with a name in its path, may be answered besides.
WITH_QUERY = {400: "a parameter is wrong"}


def document(api: Api, *, has_token: bool) -> Json:
    """Return the document.

    Args:
        api: what is served.
        has_token: whether requests need a token.
    """
    schemas: Json = {}
    paths: Json = {}
    for route in api.routes:
        paths.setdefault(api.prefix + route.path, {})[route.method.lower()] = _operation(route, api, schemas)
    made: Json = {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if has_token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
    return made


def _operation(route: Route, api: Api, schemas: Json) -> Json:
    refusals = {**COMMON, **(WITH_BODY if route.body else {413: WITH_BODY[413]})}
    refusals |= {**(WITH_QUERY if route.query else {}), **route.refusals}
    answers: Json = {str(route.status): _done(route, schemas)}
    answers |= {str(status): _content(why, [api.error], schemas) for status, why in sorted(refusals.items())}
    for status, (why, model) in route.more_answers.items():
        others = [api.error] if status in refusals else []
        answers[str(status)] = _content(why, [model, *others], schemas) if model else {"description": why}
    operation: Json = {
        "operationId": f"{route.method.lower()}{re.sub('[^A-Za-z0-9]', '_', route.path)}",
        "summary": route.summary,
        "responses": answers,
    }
    if parameters := [*_path_parameters(route), *_query_parameters(route, schemas)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _content("", [route.body], schemas) | {"required": True}
        del operation["requestBody"]["description"]
    if route.is_open:
        operation["security"] = []
    return operation


def _done(route: Route, schemas: Json) -> Json:
    if route.media_type is None:
        return _content("done", route.answers, schemas)
    kind = {"type": "string"} if route.media_type.startswith("text/") else {"type": "string", "format": "binary"}
    return {"description": "done", "content": {route.media_type: {"schema": kind}}}


def _path_parameters(route: Route) -> list[Json]:
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route, schemas: Json) -> list[Json]:
    """Return a parameter for each field of the model; what it refers to is added to *schemas*."""
    if route.query is None:
        return []
    schema: Json = route.query.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    required = schema.get("required", [])
    return [_parameter(name, value, name in required) for name, value in schema.get("properties", {}).items()]


def _parameter(name: str, schema: Json, is_required: bool) -> Json:
    about: dict[str, Any] = {"name": name, "in": "query", "required": is_required, "schema": schema}
    if text := schema.pop("description", None):
        about["description"] = text
    return about


def _content(description: str, models: Sequence[type[BaseModel]], schemas: Json) -> Json:
    """Return a body of one of *models*, whose schemas are added to *schemas*."""
    references: list[Json] = []
    for model in models:
        if model.__name__ not in schemas:  # the error's is the same in all the answers
            schema: Json = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        references.append({"$ref": f"#/components/schemas/{model.__name__}"})
    chosen = references[0] if len(references) == 1 else {"anyOf": references}
    return {"description": description, "content": {"application/json": {"schema": chosen}}}
