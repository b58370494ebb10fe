"""The blocks of a station file that say where telemetry comes from, and what its values mean."""

import re
from collections.abc import Iterator
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from rawdaq.config.channels import ChannelCode
from rawdaq.config.options import PathOption, Settings
from rawdaq.protocols.json_path import JsonPath

_KINDS = ("sql", "http", "command", "file")


def _check_path(path: str) -> str:
    JsonPath.parse(path)
    return path


def _check_expression(expression: str) -> str:
    try:
        groups = re.compile(expression).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{expression!r} is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{expression!r} has {groups} groups; it should have one, (...), around the value")
    return expression


class SourceSettings(Settings):
    """Where the values come from: one of ``sql``, ``http``, ``command`` and ``file``.

    Attributes:
        sql: the URL of a database as SQLAlchemy has it, without the password: ``postgresql+psycopg://reader@host/daq``.
        query: what is asked of it; the columns of the first row are the values.
        http: the URL of a web page with JSON.
        command: a program and its arguments, which prints JSON.
        file: a file with JSON.
        timeout_s: how long an answer may take; it is counted then, and the next one is asked for in its time.
        user: who asks, where HTTP wants a user's name; without it the secret is a bearer token.
        secret_env: the environment variable that has the password or token.
        secret_file: the file that has it, readable by its owner only (mode 0600).
    """

    sql: str | None = None
    query: Annotated[str, Field(min_length=1)] | None = None
    http: str | None = None
    command: Annotated[list[str], Field(min_length=1)] | None = None
    file: PathOption | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 5.0
    user: str | None = None
    secret_env: Annotated[str, Field(min_length=1)] | None = None
    secret_file: PathOption | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if mistakes := list(self._mistakes()):
            raise ValueError("; ".join(mistakes))
        return self

    def _mistakes(self) -> Iterator[str]:
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            yield f"give one of {', '.join(_KINDS)}" + (f", not {' and '.join(given)}" if given else "")
        if (self.sql is None) != (self.query is None):
            yield "sql needs a query, and query a sql"
        if self.user is not None and self.http is None:
            yield "user is for http; the user of a database stands in its URL"
        if self.secret_env is not None and self.secret_file is not None:
            yield "give either secret_env or secret_file"
        has_secret = self.secret_env is not None or self.secret_file is not None
        if has_secret and self.sql is None and self.http is None:
            yield "a secret is for sql and http"
        if self.user is not None and not has_secret:
            yield "a user needs a password: name where it is, with secret_env or secret_file"
        yield from self._address_mistakes()

    def _address_mistakes(self) -> Iterator[str]:
        for name, url in (("sql", self.sql), ("http", self.http)):
            try:
                parts = urlsplit(url or "")
                has_password, is_web = parts.password is not None, parts.scheme in ("http", "https")
                host = parts.hostname
            except ValueError as error:
                yield f"{name} is no URL: {error}"
                continue
            if has_password:
                yield f"{name} has a password in it: remove it, and name where it is with secret_env or secret_file"
            if name == "http" and url is not None and not (is_web and host):
                yield f"{url!r} is no address of a web page, such as http://192.0.2.20/status.json"
            if name == "sql" and url is not None and ":" not in url:
                yield f"{url!r} is no address of a database, such as sqlite:////var/lib/station.db"


class ValueSettings(Settings):
    """One value of each answer.

    Attributes:
        path: where it stands in the JSON, such as ``$.sensors[0].temperature``; by default its own name;
            of a query it is the name of a column.
        expression: instead, a regular expression that finds it in an answer of any text, with one group around it.
        unit: published beside it.
        stream: ``[location.]channel`` under which it is published as a waveform too.
        scale: what it is multiplied by for its stream, whose samples then are rounded to int32; without it they are
            float32.
    """

    path: Annotated[str, AfterValidator(_check_path)] | None = None
    expression: Annotated[str, AfterValidator(_check_expression)] | None = None
    unit: str | None = None
    stream: ChannelCode | None = None
    scale: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.path is not None and self.expression is not None:
            raise ValueError("give either path or expression")
        if self.scale is not None and self.stream is None:
            raise ValueError("scale is for a stream; name it, or remove scale")
        if self.scale == 0:
            raise ValueError("scale 0 leaves nothing of the value")
        return self
