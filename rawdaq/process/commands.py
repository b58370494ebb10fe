"""How a running component finds its ``cmd_*`` methods and answers requests."""

import asyncio
import contextlib
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from rawdaq.errors import CommandError, ComponentError, RawdaqError, RemoteProtocolError
from rawdaq.open_files import REMEDY
from rawdaq.process import member_log
from rawdaq.protocols import command

if TYPE_CHECKING:
    import zmq.asyncio

#: A command that takes longer is given up, so that one that hangs does not keep the component from answering others.
COMMAND_TIMEOUT_S = 30.0

_PREFIX = "cmd_"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def commands_of(server: object) -> dict[str, Callable[..., Any]]:
    """Return the commands of *server*: its methods named ``cmd_*``, by name, then those of its publishers.

    A command of a publisher is called ``PUBLISHER.COMMAND``, such as ``store.writer``.
    """
    found = _methods(server)
    for publisher in getattr(server, "publishers", ()):
        found |= {f"{publisher.name}.{name}": method for name, method in _methods(publisher).items()}
    return found


def _methods(owner: object) -> dict[str, Callable[..., Any]]:
    names = sorted(name for name in dir(type(owner)) if name.startswith(_PREFIX))
    return {name.removeprefix(_PREFIX): getattr(owner, name) for name in names}


def help_of(method: Callable[..., Any]) -> str:
    """Return the first line of the docstring of *method*."""
    return (inspect.getdoc(method) or "").partition("\n")[0]


async def call(server: object, name: str, args: list[str]) -> Any:
    """Run command *name* and return its result.

    Raises:
        CommandError: there is no such command, or it takes no arguments, or it did not end in time.
    """
    known = commands_of(server)
    method = known.get(name)
    if method is None:
        raise CommandError(f"no command {name!r}; known are: {', '.join(known)}")
    takes_args = bool(inspect.signature(method).parameters)
    if args and not takes_args:
        raise CommandError(f"{name} takes no arguments")
    result = method(args) if takes_args else method()
    if inspect.isawaitable(result):
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                return await result
        except TimeoutError:
            raise CommandError(f"{name} did not end within {COMMAND_TIMEOUT_S:g} s") from None
    return result


def log_level(args: Sequence[str]) -> str:
    """Set the log level of the component to *args*, if there are any; return its log level.

    Raises:
        CommandError: *args* are not a level.
    """
    if args:
        level = args[0].upper()
        if len(args) != 1 or level not in _LEVELS:
            raise CommandError(f"usage: log_level [{'|'.join(_LEVELS)}]")
        member_log.set_level(level)
    return member_log.level()


class Commanded:
    """The commands that every component answers and that need nothing of it; it can read its settings again.

    Attributes:
        reload: does it, and returns what has changed; set by who knows where the settings are.
        reloaded_s: when the settings that it has were read again, by the monotonic clock.
    """

    reload: Callable[[], Awaitable[object]] | None = None
    reloaded_s: float = -math.inf

    def ages(self, started_s: float) -> dict[str, float]:
        """Return what `status` shows of time: since it started, and since it read the settings that it has."""
        now_s = time.monotonic()
        read_s = max(started_s, self.reloaded_s)
        return {"uptime_s": round(now_s - started_s, 3), "settings_age_s": round(now_s - read_s, 3)}

    async def cmd_reload(self) -> object:
        """Read the station file again: publishers become what it says, the connection stays."""
        if self.reload is None:
            raise CommandError("it was not started from a station file; start it again instead")
        return await self.reload()

    def cmd_help(self) -> dict[str, str]:
        """List the commands and what they do."""
        return {name: help_of(method) for name, method in commands_of(self).items()}

    def cmd_ping(self) -> str:
        """Answer "pong": the component is alive."""
        return "pong"

    def cmd_log_level(self, args: list[str]) -> str:
        """Show the log level, or set it: log_level DEBUG|INFO|WARNING|ERROR."""
        return log_level(args)


async def answer(server: object, frames: Sequence[bytes], log: logging.Logger) -> list[bytes]:
    """Return the reply to the request in *frames*; the reply to a command that fails is its error."""
    try:
        request = command.decode_request(frames)
        return command.encode_reply(await call(server, request.command, list(request.args)))
    except RemoteProtocolError as error:
        log.warning("invalid request refused: %s", error)
        return command.encode_error(str(error))
    except RawdaqError as error:
        return command.encode_error(str(error))
    except Exception as error:
        log.exception("command failed")
        return command.encode_error(f"{type(error).__name__}: {error}")


class CommandSocket:
    """Answers the commands of a component.

    Args:
        server: whose ``cmd_*`` methods are the commands.
        log: where failures are logged.
    """

    def __init__(self, server: object, log: logging.Logger) -> None:
        self._server = server
        self._log = log
        self._address = ""
        self._socket: zmq.asyncio.Socket | None = None
        self._is_bound = False

    async def answer_all(self, context: "zmq.asyncio.Context", address: str) -> None:
        """Answer the requests that arrive at *address*, until cancelled.

        Args:
            context: makes the socket.
            address: where to listen, such as ``ipc:///run/rawdaq/XX.DEMO.RawReceiver.sock``.

        Raises:
            ComponentError: the address cannot be had.
        """
        import zmq

        try:
            made = context.socket(zmq.ROUTER)
        except zmq.ZMQError as error:
            raise ComponentError(f"cannot answer commands: {error.strerror}; {REMEDY}") from error
        with contextlib.closing(made) as socket:
            socket.linger = 1000  # the answer to `stop` must still leave
            self._address, self._socket = address, socket
            self._bind(socket)
            try:
                while True:
                    peer, empty, *frames = await socket.recv_multipart()
                    await socket.send_multipart([peer, empty, *await answer(self._server, frames, self._log)])
            finally:
                self._socket = None

    def _bind(self, socket: "zmq.asyncio.Socket") -> None:
        import zmq

        try:
            socket.bind(self._address)
        except zmq.ZMQError as error:
            raise ComponentError(f"cannot answer commands at {self._address}: {error.strerror}") from error
        self._is_bound = True

    def restore(self) -> bool:
        """Listen again after somebody removed the file of the socket; return whether to call this again soon.

        ZMQ removes the file of an address that it leaves, but not at once: one call leaves it, the next one binds.

        Raises:
            ComponentError: the address cannot be had now.
        """
        if self._socket is None:
            return False
        if not self._is_bound:
            self._bind(self._socket)
            return False
        self._socket.unbind(self._address)
        self._is_bound = False
        return True
