"""A table of routes as an ASGI application: bodies are limited and read as JSON, every answer is JSON."""

import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router

from rawdaq.control.rest.guard import Guard
from rawdaq.control.rest.openapi import document
from rawdaq.control.rest.routes import Api, Json, Refused, Route

#: A configuration has a few kilobytes.
MAX_BODY_BYTES = 1 << 20

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_Endpoint = Callable[[Request], Coroutine[Any, Any, JSONResponse]]


def application(api: Api, guard: Guard, log: logging.Logger) -> Starlette:
    """Return what answers the requests that *guard* lets pass.

    Args:
        api: what is served; its OpenAPI document is served at ``/openapi.json``.
        guard: who may ask.
        log: where bugs are logged.
    """
    described = document(api, has_token=guard.token is not None)

    async def openapi(_: Json) -> Json:
        return described

    def answer(status: int, body: Json, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse(body, status, _HEADERS | (headers or {}))

    def refuse(refused: Refused) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else None
        return answer(refused.status, api.error_body(refused.text) | dict(refused.more), headers)

    async def on_http_error(_: Request, error: Exception) -> JSONResponse:
        found = cast("HTTPException", error)
        text = {404: "there is no such path; /openapi.json lists them", 405: "the path has another method"}
        refused = answer(found.status_code, api.error_body(text.get(found.status_code, found.detail)))
        refused.headers.update(found.headers or {})
        return refused

    def endpoint(call: Callable[[Json], Coroutine[Any, Any, Json]], takes_body: bool) -> _Endpoint:
        async def respond(request: Request) -> JSONResponse:
            try:
                if refusal := guard.refusal(request.url.scheme, request.headers):
                    raise Refused(*refusal)
                return answer(200, await call(await _body(request, takes_body)))
            except Refused as refused:
                return refuse(refused)
            except ClientDisconnect:
                raise
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path)
                return refuse(Refused(500, "this is a bug; the log has its traceback"))

        return respond

    def starlette_route(route: Route) -> StarletteRoute:
        call = cast("Callable[[Json], Coroutine[Any, Any, Json]]", route.handler)
        return StarletteRoute(route.path, endpoint(call, route.body is not None), methods=[route.method])

    routes = [starlette_route(route) for route in api.routes]
    routes.append(StarletteRoute("/openapi.json", endpoint(openapi, takes_body=False), methods=["GET"]))
    made = Starlette(exception_handlers={HTTPException: on_http_error})
    made.router = Router(routes, redirect_slashes=False)
    return made


async def _body(request: Request, is_expected: bool) -> Json:
    """Return the JSON object of a request, an empty one where no body is expected.

    Raises:
        Refused: it is too large, not declared as JSON, or not a JSON object.
    """
    if is_expected and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "the body must be JSON, and its Content-Type application/json")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise Refused(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    if not is_expected:
        return {}
    try:
        body: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return cast("Json", body)
