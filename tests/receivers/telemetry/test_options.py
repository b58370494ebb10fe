"""TelemetryReceiver: secrets and drivers that it needs, and options that do not go together."""

import math
from pathlib import Path
from typing import Any

import pytest

from rawdaq.errors import ComponentError
from rawdaq.receivers.telemetry import TelemetryReceiver
from tests.event_receivers import STATION, options_of, problems


@pytest.mark.parametrize(
    ("mode", "content", "text"),
    [
        (0o640, "s", r"others may read the secret in .* \(mode 0640\); chmod 600"),
        (0o600, " \n", "is empty; it should have the secret"),
        (None, "", "cannot be read: No such file or directory"),
    ],
)
async def test_a_secret_that_others_may_read_keeps_it_from_starting(
    tmp_path: Path, mode: int | None, content: str, text: str
) -> None:
    secret = tmp_path / "secret"
    if mode is not None:
        secret.write_text(content)
        secret.chmod(mode)
    source = {"http": "http://127.0.0.1/", "secret_file": str(secret)}
    receiver = TelemetryReceiver([], STATION, **options_of(TelemetryReceiver, source=source))
    with pytest.raises(ComponentError, match=text):
        await receiver.serve()


async def test_a_secret_that_is_not_in_the_environment_keeps_it_from_starting() -> None:
    source = {"http": "http://127.0.0.1/", "secret_env": "NO_SUCH_VARIABLE"}
    receiver = TelemetryReceiver([], STATION, **options_of(TelemetryReceiver, source=source))
    with pytest.raises(ComponentError, match="the environment has no variable NO_SUCH_VARIABLE"):
        await receiver.serve()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite+nothing:////x", "is no address of a database"),
        ("mysql+pymysql://reader@host/x", r"the driver of mysql\+pymysql://reader@host/x is not installed"),
    ],
)
async def test_a_driver_that_is_missing_keeps_it_from_starting(url: str, text: str) -> None:
    options = options_of(TelemetryReceiver, source={"sql": url, "query": "SELECT 1"})
    with pytest.raises(ComponentError, match=text):
        await TelemetryReceiver([], STATION, **options).serve()


@pytest.mark.parametrize(
    ("source", "more", "text"),
    [
        ({}, {}, "give one of sql, http, command, file"),
        ({"file": "/x", "command": ["y"]}, {}, "give one of sql, http, command, file, not command and file"),
        ({"sql": "sqlite:////x"}, {}, "sql needs a query"),
        ({"sql": "sqlite:///x.db", "query": "q"}, {}, "write it with four slashes: sqlite:////var/lib/station.db"),
        ({"sql": "nothing", "query": "q"}, {}, "'nothing' is no address of a database"),
        ({"sql": "postgresql://me:pw@host/x", "query": "q"}, {}, "sql has a password in it: remove it"),
        ({"http": "http://me:pw@host/"}, {}, "http has a password in it"),
        ({"http": "file:///etc/passwd"}, {}, "'file:///etc/passwd' is no address of a web page"),
        ({"http": "http://[::1"}, {}, "http is no URL"),
        ({"http": "http://a/", "user": "me"}, {}, "a user needs a password"),
        ({"http": "http://a/", "secret_env": "A", "secret_file": "/b"}, {}, "give either secret_env or secret_file"),
        ({"file": "/x", "secret_env": "A"}, {}, "a secret is for sql and http"),
        ({"file": "/x", "user": "me"}, {}, "user is for http"),
        ({"file": "/x"}, {"every_s": 1}, "timeout_s 5 is longer than every_s 1"),
        ({"file": "/x"}, {"values": {"a": {"stream": "LKI"}, "b": {"stream": "LKI"}}}, "two values cannot be one"),
        ({"file": "/x"}, {"values": {"a": {"path": "$[", "stream": "LKI"}}}, "is no path of one value"),
        ({"file": "/x"}, {"values": {"a": {"path": "b", "expression": "(.)"}}}, "give either path or expression"),
        ({"file": "/x"}, {"values": {"a": {"expression": "."}}}, "has 0 groups"),
        ({"file": "/x"}, {"values": {"a": {"expression": "("}}}, "is no regular expression"),
        ({"file": "/x"}, {"values": {"a": {"scale": 2}}}, "scale is for a stream"),
        ({"file": "/x"}, {"values": {"a": {"scale": 0, "stream": "LKI"}}}, "scale 0 leaves nothing"),
    ],
)
def test_options_that_do_not_go_together_are_refused(source: dict[str, Any], more: dict[str, Any], text: str) -> None:
    found = problems(TelemetryReceiver, source=source, **more)
    assert text in found, found


def test_its_streams_are_those_of_its_values() -> None:
    options = options_of(TelemetryReceiver, source={"file": "/x"}, values={"temperature": {"stream": "SOH.LKI"}})
    assert [str(each) for each in TelemetryReceiver.streams(STATION, options)] == ["XX.DEMO.SOH.LKI"]
    assert math.isclose(options["every_s"], 15)
