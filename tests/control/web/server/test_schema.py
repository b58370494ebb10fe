"""Requests made up from the OpenAPI document find no bug, and no answer that it does not describe."""

import asyncio
import contextlib
import threading
from collections.abc import Generator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import requests
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator

from rawdaq.process.runtime_files import RuntimeFiles
from tests.control.web.server.served import BEGIN_NS, HHZ, KEY, TOKEN, served
from tests.helpers import until

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
EXAMPLES = 2  # of each of seventeen requests
#: Each request has a connection: making one up may take longer than a server keeps a connection that is not used.
HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Rawdaq": "1", "Connection": "close"}


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
def serving(folder: Path) -> Generator[str]:
    """Serve a component in a thread of its own; give the server's address."""
    addresses: list[str] = []
    is_open, ends = threading.Event(), list[Any]()

    async def serve() -> None:
        end = asyncio.Event()
        ends.append((asyncio.get_running_loop(), end))
        with RuntimeFiles(folder / "run", folder / "log") as runtime:
            async with served(folder, runtime) as client:
                await client.station.feed(2, BEGIN_NS)
                await until(lambda: client.server.watch.by_stream())
                addresses.append(client.server.url)
                is_open.set()
                await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    is_open.wait(30)
    try:
        yield addresses[0]
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(30)


def test_made_up_requests_find_no_bug(tmp_path: Path) -> None:
    with serving(tmp_path) as url, requests.Session() as session:
        session.headers.update(HEADERS)
        document = session.get(f"{url}/api/v1/openapi.json").json()
        OpenAPIV31SpecValidator(document).validate()
        assert document["paths"]["/api/v1/health"]["get"]["security"] == []
        assert len(document["paths"]) == 16
        schema: Any = makers().openapi.from_dict(document)
        schema.config.update(base_url=url)
        for found in schema.get_all_operations():
            if not found.ok().path.endswith(("/stop", "/restart")):  # the component is this process
                ask(found.ok(), session)
        assert session.get(f"{url}/api/v1/components").json()["components"][0]["key"] == KEY


def ask(operation: Any, session: requests.Session) -> None:
    """Ask what *operation* may be asked, about what there is (commands: not) and about what there is not."""
    about = ["a"] if operation.method == "post" else [KEY, "a"]

    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=SLOW, deadline=None)
    @given(case=operation.as_strategy())
    def made_up(case: Any) -> None:
        for key in about:
            names: list[str] = list(case.path_parameters or {})
            for name in names:
                case.path_parameters[name] = str(HHZ) if name == "id" and key == KEY else key
            case.call_and_validate(session=session, headers=HEADERS, checks=checks())

    made_up()
