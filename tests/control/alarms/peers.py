"""Those who are told: a real mail server and a real web server, and alarms to tell."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from rawdaq.control.alarms.engine import Alarm, Change
from rawdaq.control.alarms.notice import Notice
from rawdaq.times import NS_PER_S
from tests.helpers import until

NOW_NS = 1_795_219_200 * NS_PER_S


def alarm(text: str = "XX.A..HHZ of A/Raw: latency 13 s (above 10 is bad)", change: Change = Change.RAISED) -> Alarm:
    return Alarm(change, "late", "XX.A.Raw", "XX.A..HHZ", 13.0, 10.0, NOW_NS - 90 * NS_PER_S, text, "it is late")


def message(*alarms: Alarm, **more: Any) -> Notice:
    return Notice("hut", NOW_NS, alarms or (alarm(),), **more)


class MailServer:
    """Keeps the mails that it gets, and refuses some."""

    def __init__(self, refused: str = "") -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[bytes] = []
        self._refused = refused

    async def handle_RCPT(  # noqa: N802 - the name is that of aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self._refused:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, EmailMessage, policy=default)
        self.mails.append(mail)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, kind: str, data: Any) -> AuthResult:
        self.logins.append(data.password)
        return AuthResult(success=data.password == b"right", handled=False)


@asynccontextmanager
async def mail_server(server: MailServer, **options: Any) -> AsyncGenerator[int]:
    """Serve in the running loop; yield the port."""
    open_connections: list[SMTP] = []

    def connect() -> SMTP:
        open_connections.append(SMTP(server, hostname="localhost", **options))
        return open_connections[-1]

    listening = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await until(lambda: all(each.transport is None or each.transport.is_closing() for each in open_connections))


class Web(ThreadingHTTPServer):
    """Keeps what is posted to it; answers with the next of *statuses*, the last one for ever."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses or [200])
        self.posted: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Web)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, dict(self.headers), body))
        status = self.server.statuses[0] if len(self.server.statuses) == 1 else self.server.statuses.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def web(*statuses: int) -> Generator[Web]:
    with Web(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
