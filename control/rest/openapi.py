"""The OpenAPI 3.1 document of a table of routes."""

from collections.abc import Sequence

from pydantic import BaseModel

from rawdaq.control.rest.routes import Api, Json, Route

#: What every request may be answered.
COMMON = {
    401: "the token is missing or wrong",
    403: "the request comes from a web page of another server",
    405: "the path has another method",
    421: "the server is not called so",
    500: "a bug; the log has its traceback",
}
#: What a request with a body may be answered besides.
WITH_BODY = {
    400: "the body is not a JSON object",
    413: "the body is too large",
    415: "the body is not declared as JSON",
}


def document(api: Api, *, has_token: bool) -> Json:
    """Return the document.

    Args:
        api: what is served.
        has_token: whether requests need a token.
    """
    schemas: Json = {}
    paths: Json = {}
    for route in api.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, api, schemas)
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
    refusals = {**COMMON, **(WITH_BODY if route.body else {413: WITH_BODY[413]}), **route.refusals}
    answers: Json = {"200": _content("done", route.answers, schemas)}
    answers |= {str(status): _content(why, [api.error], schemas) for status, why in sorted(refusals.items())}
    operation: Json = {
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_')}",
        "summary": route.summary,
        "responses": answers,
    }
    if route.body is not None:
        operation["requestBody"] = _content("", [route.body], schemas) | {"required": True}
        del operation["requestBody"]["description"]
    return operation


def _content(description: str, models: Sequence[type[BaseModel]], schemas: Json) -> Json:
    """Return a body of one of *models*, whose schemas are added to *schemas*."""
    references: list[Json] = []
    for model in models:
        schema: Json = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
        references.append({"$ref": f"#/components/schemas/{model.__name__}"})
    chosen = references[0] if len(references) == 1 else {"anyOf": references}
    return {"description": description, "content": {"application/json": {"schema": chosen}}}
