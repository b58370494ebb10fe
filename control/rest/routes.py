"""The table of routes: what can be asked, with which body, and what may be answered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

Json = dict[str, Any]

#: Answers a request: gets the JSON object of its body, an empty one where the route has no body.
Handler = Callable[[Json], Awaitable[Json]]


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
        path: such as ``/start``.
        handler: what answers.
        summary: what it does, in one line.
        answers: what is answered when it is done: one of these.
        body: what is expected of the request; None: nothing.
        refusals: the statuses of `Refused` that it may raise, and why.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str
    answers: Sequence[type[BaseModel]]
    body: type[BaseModel] | None = None
    refusals: Mapping[int, str] = field(default_factory=dict[int, str])


@dataclass(frozen=True, slots=True)
class Api:
    """What a server serves.

    Attributes:
        title: its name.
        version: its version.
        routes: the table.
        error: the model of the body of every refusal.
        error_body: makes the body of a refusal of its text.
    """

    title: str
    version: str
    routes: Sequence[Route]
    error: type[BaseModel]
    error_body: Callable[[str], Json]
