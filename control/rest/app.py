"""A table of routes as an ASGI application: bodies are limited and read as JSON, every answer is JSON."""

import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
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
_Call = Callable[[Json], Coroutine[Any, Any, Json]]
_Endpoint = Callable[[Request], Coroutine[Any, Any, JSONResponse]]


def application(api: Api, guard: Guard, log: logging.Logger) -> Starlette:
    """Return what answers the requests that *guard* lets pass.

    Args:
        api: what is served; its OpenAPI document is served at ``/openapi.json``.
        guard: who may ask.
        log: where bugs are logged.
    """
    answers = _Answers(api, guard, log)
    described = document(api, has_token=guard.token is not None)

    async def openapi(_: Json) -> Json:
        return described

    routes = [answers.route(route) for route in api.routes]
    routes.append(StarletteRoute("/openapi.json", answers.endpoint(openapi, takes_body=False), methods=["GET"]))
    made = Starlette(exception_handlers={HTTPException: answers.http_error})
    made.router = Router(routes, redirect_slashes=False)
    return made


class _Answers:
    """Turns what handlers return and raise into JSON responses."""

    def __init__(self, api: Api, guard: Guard, log: logging.Logger) -> None:
        self._api, self._guard, self._log = api, guard, log

    def route(self, route: Route) -> StarletteRoute:
        """Return *route* as starlette has it."""
        call = cast("_Call", route.handler)
        return StarletteRoute(route.path, self.endpoint(call, route.body is not None), methods=[route.method])

    def endpoint(self, call: _Call, takes_body: bool) -> _Endpoint:
        """Return what answers a request with what *call* returns."""

        async def respond(request: Request) -> JSONResponse:
            try:
                if refusal := self._guard.refusal(request.url.scheme, request.headers):
                    raise Refused(*refusal)
                return _json(200, await call(await _body(request, takes_body)))
            except Refused as refused:
                return self._refuse(refused)
            except ClientDisconnect:
                raise
            except Exception:
                self._log.exception("%s %s failed", request.method, request.url.path)
                return self._refuse(Refused(500, "this is a bug; the log has its traceback"))

        return respond

    async def http_error(self, _: Request, error: Exception) -> JSONResponse:
        """Answer where no route does."""
        found = cast("HTTPException", error)
        text = {404: "there is no such path; /openapi.json lists them", 405: "the path has another method"}
        refused = _json(found.status_code, self._api.error_body(text.get(found.status_code, found.detail)))
        refused.headers.update(found.headers or {})
        return refused

    def _refuse(self, refused: Refused) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
        return _json(refused.status, self._api.error_body(refused.text) | dict(refused.more), headers)


def _json(status: int, body: Json, headers: Mapping[str, str] = MappingProxyType({})) -> JSONResponse:
    return JSONResponse(body, status, {**_HEADERS, **headers})


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
