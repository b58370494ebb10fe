"""The requests of a repeater: the paths and the JSON of the original."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rawdaq import __version__
from rawdaq.control.repeater.machine import Json, Repeater
from rawdaq.control.rest.routes import Api, Asked, Handler, Refused, Route

_NOT_NOW = {409: "the state does not allow it; nothing is changed"}
_WRONG = {422: "a value cannot be; the configuration is as before, the state is ERROR"}
_FAILED = {503: "a socket cannot be opened; the state is ERROR"}

#: Name and number of a state.
StateShown = Annotated[
    list[Literal["INITIALIZED", "RUNNING", "ERROR", "STOPPED"] | Literal[0, 1, 2, 3]], Field(min_length=2, max_length=2)
]


class Alive(BaseModel):
    """That the program runs."""

    response: Literal["success", "error"]


class StateAnswer(Alive):
    """The state.

    Attributes:
        state: its name and number.
        error: in ERROR why.
        missing: what must be given before a start.
    """

    state: StateShown
    error: str | None = None
    missing: list[str] | None = None


class StatusAnswer(StateAnswer):
    """State, configuration and counters."""

    config: dict[str, Any]
    counters: dict[str, Any] | None = None


class ErrorAnswer(BaseModel):
    """Why a request was refused."""

    response: Literal["success", "error"]
    error: str
    state: StateShown
    mistakes: list[str] | None = None


class ConfigBody(BaseModel):
    """Keys of the configuration; lists have an entry for each output."""

    model_config = ConfigDict(extra="allow")

    in_address: str | list[str] | None = None
    in_zmq_mode: str | None = None
    io_threads: int | None = None
    buffer_size: int | None = None
    n_output_streams: int | None = None
    stream_names: list[str] | None = None
    send_output_mode: list[str] | None = None
    send_output_param: list[float] | None = None
    stream_ports: list[int] | None = None
    zmq_modes: list[int | str] | None = None
    frame_block: int | list[int] | None = None
    mode_metadata: str | None = None
    config_file: str | None = None


class FileBody(BaseModel):
    """The name of a configuration file."""

    config_file: str


class WriterBody(BaseModel):
    """What the detector writer must know."""

    output_file: str = Field(min_length=1)
    run_id: int
    n_images: int
    detector_name: str = Field(min_length=1)
    user_id: int = 0
    status: int = 0


def api(repeater: Repeater, *, is_compatible: bool) -> Api:
    """Return what is served of *repeater*; with *is_compatible* refusals have the status 200, as the original has."""

    def error_body(text: str) -> Json:
        return {"response": "error", "error": text, "state": repeater.shown_state}

    def answering(call: Any, *, takes_body: bool = False) -> Handler:
        async def handler(asked: Asked) -> Json:
            try:
                answer: Json = await (call(asked.body) if takes_body else call())
            except Refused as refused:
                if is_compatible:
                    return error_body(refused.text) | dict(refused.more)
                raise
            return {"response": "success"} | answer

        return handler

    def get(path: str, call: Any, answer: type[BaseModel], summary: str) -> Route:
        return Route("GET", path, answering(call), summary, [answer])

    def post(
        path: str,
        call: Any,
        summary: str,
        refusals: Mapping[int, str],
        body: type[BaseModel] | None = None,
        answer: type[BaseModel] = StateAnswer,
    ) -> Route:
        handler = answering(call, takes_body=body is not None)
        if is_compatible:
            return Route("POST", path, handler, summary, [answer, ErrorAnswer], body)
        return Route("POST", path, handler, summary, [answer], body, {**_NOT_NOW, **refusals})

    set_writer = repeater.set_writer_config
    routes = [
        get("/alive", repeater.alive, Alive, "Say that the program runs."),
        get("/get_state", repeater.get_state, StateAnswer, "Return the state."),
        get("/get_status", repeater.get_status, StatusAnswer, "Return state, configuration and counters."),
        post("/initialize", repeater.initialize, "Make ready for a start.", _WRONG, answer=StatusAnswer),
        post("/set_config_from_dict", repeater.set_config_from_dict, "Change some keys.", _WRONG, ConfigBody),
        post("/set_config_from_file", repeater.set_config_from_file, "Read a configuration.", _WRONG, FileBody),
        post("/set_writer_config", set_writer, "Say what the writer must know.", _WRONG, WriterBody),
        post("/set_writer_config_rest", set_writer, "The same, as the original calls it.", _WRONG, WriterBody),
        post("/start", repeater.start, "Start.", _FAILED),
        post("/stop", repeater.stop, "Stop.", {}),
    ]
    return Api("rawdaq repeater", __version__, routes, ErrorAnswer, error_body)
