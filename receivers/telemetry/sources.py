"""Asks a web page, a command or a file; each call blocks, and ends at its deadline."""

import base64
import os
import selectors
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from rawdaq.errors import RawdaqError, error_text

#: What one answer may have: bounds what a source can make us hold.
MAX_ANSWER_BYTES = 1 << 20

_READ_BYTES = 65_536
_CHECK_S = 0.2  # how often it is looked whether the component stops


class NoAnswer(RawdaqError):
    """A source gave no answer; the text says why."""


@error_text("no answer within {timeout_s:g} s")
class AnswerLate(NoAnswer):
    """An answer did not come in time."""

    timeout_s: float


class Source(ABC):
    """Something that can be asked; used by one thread.

    Attributes:
        timeout_s: how long an answer may take.
        is_closing: set when the component stops: what can be given up is given up.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.is_closing = threading.Event()

    def open(self) -> None:
        """Load what it needs.

        Raises:
            ComponentError: a library or a secret is missing.
        """
        return

    @abstractmethod
    def ask(self) -> bytes | dict[str, object]:
        """Return the answer: its text, or its values by name.

        Raises:
            NoAnswer: there is none; the text says why.
        """

    def close(self) -> None:
        """Give back what it holds."""
        return


class FileSource(Source):
    """Reads a file.

    Args:
        path: its path.
        timeout_s: how long that may take.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._path = path

    def ask(self) -> bytes:
        """Return what is in the file."""
        try:
            with self._path.open("rb") as opened:
                data = opened.read(MAX_ANSWER_BYTES + 1)
        except OSError as error:
            raise NoAnswer(f"{self._path} cannot be read: {error.strerror}") from error
        _check_size(data)
        return data


class HttpSource(Source):
    """Gets a web page; it follows redirections, and gives its secret to nobody else.

    Args:
        url: its address.
        user: for basic authentication; None: the secret is a bearer token.
        secret: the password or token; None: there is none.
        timeout_s: how long that may take.
    """

    def __init__(self, url: str, user: str | None, secret: str | None, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._url = url
        self._authorization: str | None = None
        if secret is not None and user is not None:
            self._authorization = f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"
        elif secret is not None:
            self._authorization = f"Bearer {secret}"
        # Not by a proxy, and nothing but HTTP: a redirection must not read files of this machine.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPRedirectHandler,
            urllib.request.HTTPErrorProcessor,
            urllib.request.UnknownHandler,
        ):
            self._opener.add_handler(handler())

    def ask(self) -> bytes:
        """Return the body of the page."""
        deadline_s = time.monotonic() + self.timeout_s
        request = urllib.request.Request(self._url, headers={"Accept": "application/json", "User-Agent": "rawdaq"})
        if self._authorization is not None:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=self.timeout_s) as response:
                data = bytearray()
                while chunk := response.read1(_READ_BYTES):
                    data += chunk
                    if time.monotonic() > deadline_s:  # a server that sends a byte a second
                        raise AnswerLate(self.timeout_s)
                    if len(data) > MAX_ANSWER_BYTES:
                        break
        except TimeoutError:
            raise AnswerLate(self.timeout_s) from None
        except urllib.error.HTTPError as error:
            error.close()
            raise NoAnswer(f"{self._url} answers {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise AnswerLate(self.timeout_s) from None
            reason = error.reason.strerror if isinstance(error.reason, OSError) else None
            raise NoAnswer(f"{self._url}: {reason or error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(f"{self._url}: {str(error) or type(error).__name__}") from None
        _check_size(data)
        return bytes(data)


class CommandSource(Source):
    """Runs a program, and takes what it prints; it is ended with all that it started when it takes too long.

    Args:
        command: the program and its arguments.
        timeout_s: how long that may take.
    """

    def __init__(self, command: Sequence[str], timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._command = list(command)

    def ask(self) -> bytes:
        """Return what the program prints."""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise NoAnswer(f"{self._command[0]} cannot be run: {reason}") from error
        with process:
            try:
                printed, complaint = self._printed(process)
                status = process.wait(self.timeout_s)
            except subprocess.TimeoutExpired:
                raise AnswerLate(self.timeout_s) from None
            finally:
                _end(process)
        if status:
            last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it printed no reason"]
            raise NoAnswer(f"{self._command[0]} ends with {status}: {last[0][:200]}")
        return printed

    def _printed(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """Return what the program writes to its outputs."""
        deadline_s = time.monotonic() + self.timeout_s
        texts: dict[object, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
        with selectors.DefaultSelector() as selector:
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                left_s = deadline_s - time.monotonic()
                for key, _ in selector.select(min(_CHECK_S, max(0.0, left_s))):
                    chunk = os.read(key.fd, _READ_BYTES)
                    texts[key.fileobj] += chunk
                    _check_size(texts[key.fileobj])
                    if not chunk:
                        selector.unregister(key.fileobj)
                if left_s <= 0 or self.is_closing.is_set():
                    raise AnswerLate(self.timeout_s)
        return bytes(texts[process.stdout]), bytes(texts[process.stderr])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program, where it still runs, and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended; macOS says that one may not kill what has
        pass


def _check_size(data: bytes | bytearray) -> None:
    if len(data) > MAX_ANSWER_BYTES:
        raise NoAnswer(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
