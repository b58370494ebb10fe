"""The table of routes: who may ask, what is answered, and an OpenAPI document that says so."""

import asyncio
import errno
import logging
import os
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from rawdaq.control.rest.app import application
from rawdaq.control.rest.guard import Guard, names_of
from rawdaq.control.rest.openapi import document
from rawdaq.control.rest.routes import Api, Asked, Json, Refused, Route
from rawdaq.control.rest.server import RestServer
from rawdaq.errors import ComponentError
from rawdaq.sockets import listener
from tests.control.repeater.repeaters import listening
from tests.helpers import until

LOG = logging.getLogger("rawdaq.rest")


class Number(BaseModel):
    number: int


class Problem(BaseModel):
    error: str


async def _double(asked: Asked) -> Json:
    if asked.body["number"] > 10:
        raise Refused(422, "the number is too large", {"limit": 10})
    return {"number": 2 * asked.body["number"]}


async def _fail(_: Asked) -> Json:
    raise RuntimeError("a bug of the test")


async def _one(asked: Asked) -> Json:
    assert asked.body == {}
    return {"number": 1}


API = Api(
    "numbers",
    "1.2.3",
    [
        Route("GET", "/one", _one, "Return one.", [Number]),
        Route("POST", "/double", _double, "Double a number.", [Number, Problem], Number, {422: "too large"}),
        Route("POST", "/fail", _fail, "Fail.", [Number]),
    ],
    Problem,
    lambda text: {"error": text},
)


def client(guard: Guard | None = None, host: str = "localhost") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(API, guard or Guard(), LOG))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}:8888")


async def test_requests_are_answered_as_the_table_says() -> None:
    async with client() as http:
        assert (await http.get("/one")).json() == {"number": 1}
        answer = await http.post("/double", json={"number": 4})
        assert (answer.status_code, answer.json()) == (200, {"number": 8})
        assert answer.headers["cache-control"] == "no-store"
        answer = await http.post("/double", json={"number": 40})
        assert (answer.status_code, answer.json()) == (422, {"error": "the number is too large", "limit": 10})


async def test_a_bug_is_answered_without_its_details_and_logged_with_them(caplog: pytest.LogCaptureFixture) -> None:
    async with client() as http:
        answer = await http.post("/fail")
    assert (answer.status_code, answer.json()) == (500, {"error": "this is a bug; the log has its traceback"})
    assert "a bug of the test" in caplog.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:8888"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "127.0.0.1:1"}, 200),
        ({"Host": "[::1]:8888"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8888"}, 421),
    ],
)
async def test_a_web_page_of_another_server_is_refused(headers: dict[str, str], status: int) -> None:
    async with client(Guard(hosts=names_of("127.0.0.1"))) as http:
        answer = await http.post("/double", json={"number": 1}, headers=headers)
    assert answer.status_code == status
    assert ("error" in answer.json()) == (status != 200)


@pytest.mark.parametrize(
    ("given", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer ünfug", 401), ("Bearer secret", 200)]
)
async def test_a_token_is_needed_where_one_is_set(given: str | None, status: int) -> None:
    headers = {} if given is None else {"Authorization": given.encode()}
    async with client(Guard("secret")) as http:
        answer = await http.get("/one", headers=headers)  # type: ignore[arg-type]  # httpx takes bytes too
    assert answer.status_code == status
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


@pytest.mark.parametrize(
    ("ip", "is_loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)]
)
def test_only_a_server_on_loopback_knows_how_it_may_be_called(ip: str, is_loopback: bool) -> None:
    assert (names_of(ip) is not None) == is_loopback


@pytest.mark.parametrize("has_token", [False, True])
def test_the_document_is_valid_and_describes_every_route(has_token: bool) -> None:
    made: Any = document(API, has_token=has_token)
    OpenAPIV31SpecValidator(made).validate()
    assert made["info"] == {"title": "numbers", "version": "1.2.3"}
    assert set(made["paths"]) == {"/one", "/double", "/fail"}
    double = made["paths"]["/double"]["post"]
    assert set(double["responses"]) >= {"200", "400", "401", "413", "415", "422", "500"}
    assert ("security" in made) == has_token


async def test_the_document_is_served() -> None:
    async with client() as http:
        assert (await http.get("/openapi.json")).json() == document(API, has_token=False)


async def test_a_server_on_a_socket_answers_and_gives_the_port_back() -> None:
    async with listening(application(API, Guard(), LOG)) as url:
        port = int(url.rpartition(":")[2])
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/one")).json() == {"number": 1}
        with pytest.raises(ComponentError, match=rf"cannot listen on http://127.0.0.1:{port}.*another program uses it"):
            await RestServer(application(API, Guard(), LOG), "127.0.0.1", port, LOG).open()
    again = RestServer(application(API, Guard(), LOG), "127.0.0.1", port, LOG)
    await again.open()
    again.stop()
    await again.serve()


async def test_without_descriptors_requests_wait_and_are_answered_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def exhausted(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(listener, "_RETRY_S", 0.01)
    async with listening(application(API, Guard(), LOG)) as url, httpx.AsyncClient() as http:
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", exhausted)
            answer = asyncio.create_task(http.get(f"{url}/one", timeout=30))
            await until(lambda: f"{url}: connections have to wait: Too many open files" in caplog.text)
        assert (await answer).json() == {"number": 1}
    assert "Traceback" not in caplog.text


async def test_a_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(ComponentError, match=r"cannot listen on http://no-such-host\.invalid:1"):
        await RestServer(None, "no-such-host.invalid", 1, LOG).open()
