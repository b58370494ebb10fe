"""How targets are told: by real servers and programs, and what is said when that fails."""

import asyncio
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rawdaq.control.alarms.engine import Change
from rawdaq.control.alarms.settings import CommandTarget, EmailTarget, LogTarget, Target, WebhookTarget
from rawdaq.control.alarms.targets import PartlyTold, TargetFailed, Tell, teller
from tests.control.alarms.peers import MailServer, alarm, mail_server, message, web
from tests.helpers import closed_port

LOG = logging.getLogger("rawdaq.alarms.test")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def tells(executor: ThreadPoolExecutor) -> Any:
    def make(target: Target) -> Tell:
        return teller(target, executor, LOG)

    return make


def email(port: int, **more: Any) -> EmailTarget:
    known: dict[str, Any] = {"kind": "email", "host": "127.0.0.1", "port": port, "sender": "rawdaq@example.org"}
    known |= {"to": ["duty@example.org", "boss@example.org"], "timeout_s": 30.0}
    return EmailTarget.model_validate(known | more)


def password(folder: Path, text: str) -> Path:
    file = folder / "password"
    file.write_text(text)
    file.chmod(0o600)
    return file


async def test_an_email_has_all_alarms_and_a_title(tells: Any) -> None:
    server = MailServer()
    async with mail_server(server) as port:
        await tells(email(port))(message(alarm(), alarm("it\nis good", Change.CLEARED), missing=3))
    (mail,) = server.mails
    assert mail["Subject"] == "[rawdaq hut] 1 raised, 1 cleared: XX.A..HHZ of A/Raw: latency 13 s (above 10 is bad)"
    assert (mail["From"], mail["To"]) == ("rawdaq@example.org", "duty@example.org, boss@example.org")
    assert (mail["Auto-Submitted"], mail["Date"].startswith("Sat, 21 Nov 2026")) == ("auto-generated", True)
    lines = mail.get_content().splitlines()
    assert lines[0].startswith(
        "raised (late, since 2026-11-20T23:58:30Z, 1 min 30 s): XX.A..HHZ of A/Raw: latency 13 s"
    )
    assert lines[0].endswith("; it is late")
    assert lines[-1] == "3 earlier alarms are missing: this target could not be reached"


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_mail_server_that_wants_a_login_gets_it(tells: Any, tmp_path: Path) -> None:
    server = MailServer()
    options: dict[str, Any] = {"authenticator": server.authenticate, "auth_required": True, "auth_require_tls": False}
    async with mail_server(server, **options) as port:
        target = email(port, user="me", password_file=password(tmp_path, "right"))
        await tells(target)(message())
        password(tmp_path, "wrong")
        with pytest.raises(TargetFailed, match=r"mail server 127.0.0.1:\d+: 535 "):
            await tells(target)(message())
    assert (set(server.logins), len(server.mails)) == ({b"right", b"wrong"}, 1)


async def test_an_address_that_the_mail_server_refuses_does_not_keep_others_from_being_told(tells: Any) -> None:
    server = MailServer("boss@example.org")
    async with mail_server(server) as port:
        with pytest.raises(PartlyTold, match=r"refuses boss@example\.org; the others got it"):
            await tells(email(port))(message())
        with pytest.raises(TargetFailed, match=r"refuses boss@example\.org$"):
            await tells(email(port, to=["boss@example.org"]))(message())
    assert len(server.mails) == 1


async def test_a_mail_server_without_encryption_is_not_told_a_secret(tells: Any) -> None:
    server = MailServer()
    async with mail_server(server) as port:
        with pytest.raises(TargetFailed, match="STARTTLS extension not supported"):
            await tells(email(port, security="starttls"))(message())
        with pytest.raises(TargetFailed, match="mail server"):
            await tells(email(port, security="tls"))(message())
    assert server.mails == []


async def test_a_web_server_gets_json(tells: Any, tmp_path: Path) -> None:
    with web() as server:
        target = WebhookTarget(
            kind="webhook",
            url=f"{server.url}/hook?id=5",
            headers={"X-Room": "7"},
            token_file=password(tmp_path, "secret"),
        )
        await tells(target)(message())
    ((path, headers, body),) = server.posted
    assert path == "/hook?id=5"
    assert (headers["Authorization"], headers["X-Room"]) == ("Bearer secret", "7")
    assert headers["Content-Type"] == "application/json"
    sent = json.loads(body)
    assert (sent["machine"], sent["time"], sent["missing"]) == ("hut", "2026-11-21T00:00:00.000000Z", 0)
    assert sent["alarms"] == [
        {
            "change": "raised",
            "rule": "late",
            "component": "XX.A.Raw",
            "subject": "XX.A..HHZ",
            "value": 13.0,
            "limit": 10.0,
            "since": "2026-11-20T23:58:30.000000Z",
            "text": "XX.A..HHZ of A/Raw: latency 13 s (above 10 is bad)",
            "reason": "it is late",
        }
    ]


@pytest.mark.parametrize(("status", "reason"), [(500, "500 Internal Server Error"), (302, "302 Found"), (404, "404 N")])
async def test_a_web_server_that_refuses_is_told_with_its_status(status: int, reason: str, tells: Any) -> None:
    with (
        web(status) as server,
        pytest.raises(TargetFailed, match=rf"web server 127.0.0.1:\d+ answers {reason}") as told,
    ):
        await tells(WebhookTarget(kind="webhook", url=f"{server.url}/secret-path"))(message())
    assert "secret-path" not in str(told.value)


async def test_nobody_listens(tells: Any) -> None:
    with closed_port() as port:
        with pytest.raises(TargetFailed, match=r"mail server .*: Connection refused"):
            await tells(email(port))(message())
        with pytest.raises(TargetFailed, match=r"web server .*: Connection refused"):
            await tells(WebhookTarget(kind="webhook", url=f"http://127.0.0.1:{port}/"))(message())


@pytest.mark.parametrize("kind", ["email", "webhook"])
async def test_a_server_that_sends_a_byte_now_and_then_is_given_up_in_time(kind: str, tells: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        is_over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while not is_over.wait(0.01):
                        connection.sendall(b"2")
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        target: Target = (
            email(port, timeout_s=0.2)
            if kind == "email"
            else WebhookTarget(kind="webhook", url=f"http://127.0.0.1:{port}/", timeout_s=0.2)
        )
        try:
            with pytest.raises(TargetFailed):
                await tells(target)(message())
        finally:
            is_over.set()
            await asyncio.to_thread(thread.join)


def program(code: str, **more: Any) -> CommandTarget:
    return CommandTarget(kind="command", command=["/bin/sh", "-c", code], **more)


async def test_a_program_gets_the_message_and_its_title(tells: Any, tmp_path: Path) -> None:
    file = tmp_path / "got"
    await tells(program(f'cat > {file}; echo "$RAWDAQ_ALARM_TITLE" >> {file}'))(message())
    body, title = file.read_text().rsplit("}", 1)
    assert json.loads(body + "}")["alarms"][0]["rule"] == "late"
    assert title.startswith("[rawdaq hut] 1 raised: XX.A..HHZ")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (program("cat >&-; echo first >&2; echo 'no paper' >&2; exit 3"), "/bin/sh ended with 3: no paper"),
        (program("cat > /dev/null; kill -9 $$"), "/bin/sh ended with -9"),
        (program("cat > /dev/null; sleep 60 & wait", timeout_s=0.1), "/bin/sh did not end within 0.1 s"),
        (CommandTarget(kind="command", command=["/missing"]), "cannot run /missing: No such file or directory"),
    ],
)
async def test_a_program_that_fails_is_told_with_its_last_word(target: CommandTarget, reason: str, tells: Any) -> None:
    with pytest.raises(TargetFailed) as told:
        await tells(target)(message())
    assert str(told.value) == reason


async def test_the_log_has_a_line_for_each_alarm(tells: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await tells(LogTarget(kind="log"))(message(alarm(), alarm("b")))
    await tells(LogTarget(kind="log"))(message(alarm("c", Change.CLEARED)))
    assert [(each.levelname, each.message.split("(")[0]) for each in caplog.records] == [
        ("WARNING", "raised "),
        ("WARNING", "raised "),
        ("INFO", "cleared "),
    ]


def test_a_message_of_very_many_alarms_is_cut_and_says_so() -> None:
    many = message(*[alarm()] * 250, note="a target fails")
    assert len(many.lines) == 202
    assert (many.lines[0], many.lines[-1]) == ("a target fails", "and 50 more")
    assert len(json.loads(many.as_json())["alarms"]) == 250
    assert sys.getsizeof(many.title) < 300
