"""The table of routes: what can be asked, with which body, and what may be answered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from rawdaq.control.rest.client import Client

Json = dict[str, Any]
M = TypeVar("M", bound=BaseModel)

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """A request.

    Attributes:
        body: the JSON object of its body, an empty one where the route has no body.
        path: what stands for ``{name}`` in the route's path.
        query: its parameters, a value of the route's model; None where it has none.
        headers: with names in small letters.
    """

    body: Json
    path: Mapping[str, str] = _NOTHING
    query: Any = None
    headers: Mapping[str, str] = _NOTHING


class Content(NamedTuple):
    """An answer that is not JSON.

    Attributes:
        data: all of it, or its parts.
        media_type: such as ``application/octet-stream``.
        headers: further ones.
        status: another one than the route's, such as 304.
    """

    data: bytes | AsyncIterator[bytes]
    media_type: str
    headers: Mapping[str, str] = _NOTHING
    status: int | None = None


#: Answers a request.
Handler = Callable[[Asked], Awaitable[Json | BaseModel | Content]]


class Refused(Exception):
    """A request that cannot be done; what it said has changed nothing, or what the text says.

    Args:
        status: the HTTP status.
        text: what is wrong, and what would be right.
        more: further keys of the answer.
    """

    def __init__(self, status: int, text: str, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(status, text, more)
        self.status, self.text, self.more = status, text, more or {}

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table.

    Attributes:
        method: GET or POST.
        path: such as ``/start`` or ``/streams/{id}``.
        handler: what answers.
        summary: what it does, in one line.
        answers: what is answered when it is done: one of these; none of them where that is no JSON.
        body: what is expected of the request; None: nothing.
        refusals: the statuses of `Refused` that it may raise, and why.
        query: its parameters, each a field of this model; None: there are none.
        status: of the answer when it is done.
        media_type: of an answer that is no JSON.
        is_open: whether it is answered without the token.
        more_answers: further statuses of an answer that is no refusal: what they mean, and the model of the body.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str
    answers: Sequence[type[BaseModel]]
    body: type[BaseModel] | None = None
    refusals: Mapping[int, str] = field(default_factory=dict[int, str])
    query: type[BaseModel] | None = None
    status: int = 200
    media_type: str | None = None
    is_open: bool = False
    more_answers: Mapping[int, tuple[str, type[BaseModel] | None]] = field(
        default_factory=dict[int, tuple[str, type[BaseModel] | None]]
    )


SocketHandler = Callable[["Client", Mapping[str, str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """A path of a WebSocket.

    Attributes:
        path: such as ``/log/{key}``.
        handler: serves it; gets what stands for ``{name}`` in the path. When it returns the WebSocket is closed.
        summary: what it does, in one line.
    """

    path: str
    handler: SocketHandler
    summary: str


@dataclass(frozen=True, slots=True)
class Api:
    """What a server serves.

    Attributes:
        title: its name.
        version: its version.
        routes: the table.
        error: the model of the body of every refusal.
        error_body: makes the body of a refusal of its text.
        prefix: what all paths begin with, such as ``/api/v1``.
        sockets: the WebSockets.
        welcome: makes the first message to a client that has given the token.
    """

    title: str
    version: str
    routes: Sequence[Route]
    error: type[BaseModel]
    error_body: Callable[[str], Json]
    prefix: str = ""
    sockets: Sequence[SocketRoute] = ()
    welcome: Callable[[], Json] = dict


def validated(model: type[M], value: object, what: str) -> M:
    """Return *value* as *model*.

    Raises:
        Refused: it cannot be; the text says which of its entries is wrong, and why.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Refused(400, f"{what}: {mistakes_of(error)}") from error


def mistakes_of(error: ValidationError) -> str:
    """Return what is wrong, without the addresses that pydantic adds."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"]))) for each in found[:5])
