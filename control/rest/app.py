"""A table of routes as an ASGI application: bodies are limited and read as JSON; files of a page stand beside it."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, cast

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Router
from starlette.routing import Route as StarletteRoute

from rawdaq.control.rest.files import PageFiles
from rawdaq.control.rest.guard import Guard, given_token
from rawdaq.control.rest.openapi import document
from rawdaq.control.rest.routes import Api, Asked, Content, Json, Refused, Route, validated
from rawdaq.control.rest.sockets import Sockets
from rawdaq.control.rest.wrong_tokens import WrongTokens

#: A configuration has a few kilobytes.
MAX_BODY_BYTES = 1 << 20

_BODY_S = 10.0  # for a body, which is small
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_Call = Callable[[Asked], Coroutine[Any, Any, Any]]
_Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def application(
    api: Api, guard: Guard, log: logging.Logger, page: PageFiles | None = None, wrong: WrongTokens | None = None
) -> Starlette:
    """Return what answers the requests that *guard* lets pass.

    Args:
        api: what is served; its OpenAPI document is served at ``/openapi.json`` below its prefix.
        guard: who may ask.
        log: where bugs, and wrong tokens, are logged.
        page: files that are served too; every answer has the headers of a page then.
        wrong: counts wrong tokens; by default they are counted here alone.
    """
    wrong = wrong or WrongTokens(log)
    answers = _Answers(api, guard, log, page, wrong)
    described = document(api, has_token=guard.token is not None)

    async def openapi(_: Asked) -> Json:
        return described

    described_at = Route("GET", f"{api.prefix}/openapi.json", openapi, "This document.", [])
    routes: list[BaseRoute] = [answers.route(route) for route in (*api.routes, described_at)]
    routes += Sockets(api, guard, wrong, log).routes()
    if page is not None:
        routes.append(StarletteRoute("/{path:path}", answers.file(page), methods=["GET"]))
    made = Starlette(exception_handlers={HTTPException: answers.http_error})
    made.router = Router(routes, redirect_slashes=False)
    return made


class _Answers:
    """Turns what handlers return and raise into responses."""

    def __init__(self, api: Api, guard: Guard, log: logging.Logger, page: PageFiles | None, wrong: WrongTokens) -> None:
        self._api, self._guard, self._log = api, guard, log
        self._headers = _HEADERS if page is None else {**_PAGE_HEADERS, **_HEADERS}
        self._wrong = wrong

    def route(self, route: Route) -> StarletteRoute:
        """Return *route* as starlette has it."""
        path = route.path if route.path.startswith(self._api.prefix) else self._api.prefix + route.path
        return StarletteRoute(path, self._endpoint(route), methods=[route.method])

    def _endpoint(self, route: Route) -> _Endpoint:
        """Return what answers a request with what the handler of *route* returns."""
        call = cast("_Call", route.handler)

        async def respond(request: Request) -> Response:
            try:
                await self._check(request, route)
                asked = Asked(
                    await _body(request, route.body is not None),
                    request.path_params,
                    _query(request, route.query),
                    request.headers,
                )
                return self._answer(route.status, await call(asked))
            except Refused as refused:
                return self._refuse(refused)
            except ClientDisconnect:
                raise
            except Exception:
                self._log.exception("%s %s failed", request.method, request.url.path)
                return self._refuse(Refused(500, "this is a bug; the log has its traceback"))

        return respond

    async def _check(self, request: Request, route: Route) -> None:
        """Return when a request may be answered.

        Raises:
            Refused: it may not.
        """
        scheme, headers = request.url.scheme, request.headers
        refusal = self._guard.refusal(scheme, headers, is_change=route.method == "POST", is_open=route.is_open)
        if refusal is None:
            return
        if refusal[0] == 401 and given_token(headers) is not None:
            await self._wrong.note(request.client.host if request.client else "?")
        raise Refused(*refusal)

    def _answer(self, status: int, made: Json | BaseModel | Content) -> Response:
        if isinstance(made, BaseModel):
            return Response(made.model_dump_json(), status, self._headers, "application/json")
        if not isinstance(made, Content):
            return JSONResponse(made, status, self._headers)
        headers = {**self._headers, **made.headers}
        status = made.status or status
        if isinstance(made.data, bytes):
            return Response(made.data, status, headers, made.media_type)
        return StreamingResponse(made.data, status, headers, made.media_type)

    def file(self, page: PageFiles) -> _Endpoint:
        """Return what answers with a file of *page*."""

        async def respond(request: Request) -> Response:
            if refusal := self._guard.refusal_of_page(request.url.scheme, request.headers):
                return self._refuse(Refused(*refusal))
            found = page.find(request.url.path)
            if found is None:
                return self._refuse(Refused(404, self._no_such_path))
            headers = {**self._headers, "Cache-Control": "no-cache", "ETag": found.etag}
            if found.etag in request.headers.get("if-none-match", ""):
                return Response(None, 304, headers)
            return Response(found.data, 200, headers, found.media_type)

        return respond

    @property
    def _no_such_path(self) -> str:
        return f"there is no such path; {self._api.prefix}/openapi.json lists them"

    async def http_error(self, _: Request, error: Exception) -> Response:
        """Answer where no route does."""
        found = cast("HTTPException", error)
        text = {404: self._no_such_path, 405: "the path has another method"}.get(found.status_code, found.detail)
        return self._refuse(Refused(found.status_code, text), found.headers or {})

    def _refuse(self, refused: Refused, more_headers: Mapping[str, str] = MappingProxyType({})) -> Response:
        headers = {**self._headers, **more_headers}
        if refused.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self._api.error_body(refused.text) | dict(refused.more), refused.status, headers)


def _query(request: Request, model: type[BaseModel] | None) -> BaseModel | None:
    """Return the parameters of a request.

    Raises:
        Refused: they are wrong, or one is there twice.
    """
    if model is None:
        return None
    pairs = request.query_params.multi_items()
    if len(pairs) != len(dict(pairs)):
        raise Refused(400, "a parameter is there twice")
    return validated(model, dict(pairs), "the parameters are wrong")


async def _body(request: Request, is_expected: bool) -> Json:
    """Return the JSON object of a request, an empty one where no body is expected.

    Raises:
        Refused: it is too large, too late, not declared as JSON, or not a JSON object.
    """
    if is_expected and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "the body must be JSON, and its Content-Type application/json")
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    raise Refused(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise Refused(400, f"the body did not come within {_BODY_S:g} s") from None
    if not is_expected:
        return {}
    try:
        body: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return cast("Json", body)
