"""How each kind of target gets a notice: one attempt, which ends in time, and raises why it failed."""

import asyncio
import contextlib
import http.client
import logging
import os
import signal
import smtplib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from rawdaq.control.alarms.alarm_file import secret
from rawdaq.control.alarms.engine import Change
from rawdaq.control.alarms.notice import Notice
from rawdaq.control.alarms.settings import CommandTarget, EmailTarget, LogTarget, Target, WebhookTarget
from rawdaq.errors import RawdaqError

_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_SHOWN_LETTERS = 200  # of what the other side says

Tell = Callable[[Notice], Awaitable[None]]


class TargetFailed(RawdaqError):
    """A target took no notice; the text says why."""


class PartlyTold(TargetFailed):
    """Some have got the message, others never will."""


def teller(target: Target, executor: ThreadPoolExecutor, log: logging.Logger) -> Tell:
    """Return a coroutine function that sends *target* a notice, once.

    Args:
        target: the target.
        executor: its own thread, so that one that hangs does not hold up the others.
        log: of a target of the kind log.
    """
    if isinstance(target, LogTarget):
        return lambda notice: _log(notice, log)
    if isinstance(target, CommandTarget):
        return lambda notice: _run(target, notice)

    def send(notice: Notice) -> None:
        if isinstance(target, EmailTarget):
            _send_email(target, notice)
        else:
            _post(target, notice)

    async def tell(notice: Notice) -> None:
        await asyncio.get_running_loop().run_in_executor(executor, send, notice)

    return tell


async def _log(notice: Notice, log: logging.Logger) -> None:
    is_bad = notice.note or notice.missing or any(alarm.change is not Change.CLEARED for alarm in notice.alarms)
    for line in notice.lines:
        log.log(logging.WARNING if is_bad else logging.INFO, "%s", line)


async def _run(target: CommandTarget, notice: Notice) -> None:
    """Run the program; kill it, with what it has started, when it takes too long."""
    environment = {**os.environ, "RAWDAQ_ALARM_TITLE": notice.title}
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *target.command,
            stdin=pipe,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=pipe,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise TargetFailed(f"cannot run {target.command[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(target.timeout_s):
            _, said = await process.communicate(notice.as_json())
    except TimeoutError:
        raise TargetFailed(f"{target.command[0]} did not end within {target.timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        last = _elided(said.decode(errors="replace").strip().rpartition("\n")[2])
        raise TargetFailed(f"{target.command[0]} ended with {process.returncode}" + (f": {last}" if last else ""))


def _elided(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:_SHOWN_LETTERS]).strip()


class _Cut:
    """Cuts a connection after a time: a peer that sends a byte now and then would hold us for ever."""

    def __init__(self, timeout_s: float) -> None:
        self._timer = threading.Timer(timeout_s, self._cut)
        self._socket: socket.socket | None = None

    def begin(self, sock: socket.socket) -> None:
        self._socket = sock
        self._timer.start()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._timer.cancel()
        if self._socket is not None:
            self._timer.join()


class _Smtp(smtplib.SMTP):
    """A mail server whose whole conversation, the greeting included, ends in time."""

    def __init__(self, target: EmailTarget, port: int, cut: _Cut) -> None:
        self._cut, self._is_secure = cut, target.security == "tls"
        super().__init__(target.host, port, timeout=target.timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        self._cut.begin(sock)
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host) if self._is_secure else sock


def _send_email(target: EmailTarget, notice: Notice) -> None:
    port = target.port or _PORTS[target.security]
    where = f"mail server {target.host}:{port}"
    try:
        with contextlib.closing(_Cut(target.timeout_s)) as cut, _Smtp(target, port, cut) as smtp:
            if target.security == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if target.user is not None and target.password_file is not None:
                smtp.login(target.user, secret(target.password_file))
            refused = smtp.send_message(notice.as_email(target))
    except smtplib.SMTPRecipientsRefused as error:
        raise TargetFailed(f"{where} refuses {', '.join(error.recipients)}") from error
    except smtplib.SMTPResponseException as error:
        reply = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise TargetFailed(f"{where}: {error.smtp_code} {_elided(reply)}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise TargetFailed(f"{where}: {_why(error)}") from error
    if refused:
        raise PartlyTold(f"{where} refuses {', '.join(refused)}; the others got it")


def _post(target: WebhookTarget, notice: Notice) -> None:
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    headers = {"Content-Type": "application/json", "User-Agent": "rawdaq", **target.headers}
    if target.token_file is not None:
        headers["Authorization"] = f"Bearer {secret(target.token_file)}"
    is_secure = parts.scheme == "https"
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=target.timeout_s, context=ssl.create_default_context())
        if is_secure
        else http.client.HTTPConnection(host, parts.port, timeout=target.timeout_s)
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    where = f"web server {host}:{connection.port}"  # the path may be a secret
    try:
        with contextlib.closing(_Cut(target.timeout_s)) as cut, contextlib.closing(connection):
            connection.connect()
            cut.begin(connection.sock)
            connection.request("POST", path, notice.as_json(), headers)
            with connection.getresponse() as answer:
                status, reason = answer.status, _elided(answer.reason)
    except (OSError, http.client.HTTPException) as error:
        raise TargetFailed(f"{where}: {_why(error)}") from error
    if not 200 <= status < 300:
        raise TargetFailed(f"{where} answers {status} {reason}".rstrip())


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return _elided((error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__)
