"""Requests made up from our OpenAPI document find no bug, and no answer that the document does not describe."""

import asyncio
import contextlib
import threading
from collections.abc import Generator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator

from rawdaq.control.repeater.api import api
from rawdaq.control.repeater.config_file import FileReader
from rawdaq.control.repeater.machine import Repeater
from rawdaq.control.rest.app import application
from rawdaq.control.rest.guard import Guard
from rawdaq.control.rest.openapi import document
from tests.control.repeater.repeaters import LOG, config, listening

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
EXAMPLES = 5  # of each of ten requests, in each of two settings: some seconds


@cache
def makers() -> Any:
    """Return Schemathesis; imported here, as it takes half a second of whoever collects the tests."""
    return import_module("schemathesis")


@cache
def checks() -> list[Any]:
    names = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
    of_documents = import_module("schemathesis.specs.openapi.checks")
    return [import_module("schemathesis.checks").not_a_server_error, *(getattr(of_documents, name) for name in names)]


@contextlib.contextmanager
def serving(folder: Path, *, compat: bool) -> Generator[str]:
    """Serve a repeater in a thread of its own; give its address."""
    addresses: list[str] = []
    is_open = threading.Event()
    ends: list[Any] = []

    async def serve() -> None:
        machine = Repeater(FileReader(folder), LOG, is_compatible=compat)
        end = asyncio.Event()
        ends.append((asyncio.get_running_loop(), end))
        async with listening(application(api(machine, is_compatible=compat), Guard(), LOG)) as url:
            addresses.append(url)
            is_open.set()
            await end.wait()
        await machine.aclose()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    is_open.wait(30)
    try:
        yield addresses[0]
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(30)


@pytest.mark.parametrize("compat", [False, True])
def test_made_up_requests_find_no_bug(compat: bool, tmp_path: Path) -> None:
    with serving(tmp_path, compat=compat) as url, requests.Session() as session:
        session.headers["Connection"] = "close"  # one may not be used for longer than it is kept
        schema: Any = makers().openapi.from_url(f"{url}/openapi.json")
        good = config("tcp://127.0.0.1:9", ("store", "strides", 1), ("std-det-writer", "send_every_nth", 1))
        for found in schema.get_all_operations():
            session.post(f"{url}/set_config_from_dict", json=good)

            @settings(max_examples=EXAMPLES, database=None, suppress_health_check=SLOW, deadline=None)
            @given(case=found.ok().as_strategy())
            def ask(case: Any) -> None:
                case.call_and_validate(session=session, checks=checks())

            ask()
        assert session.get(f"{url}/alive").json() == {"response": "success"}


@pytest.mark.parametrize("compat", [False, True])
def test_the_document_is_valid(compat: bool, tmp_path: Path) -> None:
    machine = Repeater(FileReader(tmp_path), LOG)
    made: Any = document(api(machine, is_compatible=compat), has_token=True)
    OpenAPIV31SpecValidator(made).validate()
    assert set(made["paths"]) == {
        *("/alive", "/get_state", "/get_status", "/initialize", "/set_config_from_dict", "/set_config_from_file"),
        *("/set_writer_config", "/set_writer_config_rest", "/start", "/stop"),
    }
    assert ("409" in made["paths"]["/start"]["post"]["responses"]) == (not compat)
