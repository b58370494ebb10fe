"""What ``alarms.yaml`` may say: rules, and targets that are notified."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from rawdaq.config.options import PathOption, Settings

Seconds = Annotated[float, Field(ge=0, le=864_000)]
_Name = Annotated[str, Field(min_length=1, max_length=254)]
_Timeout = Annotated[float, Field(gt=0, le=300)]


def _check_mail(address: str) -> str:
    name, _, host = address.rpartition("@")
    if not name or not host or not address.isprintable() or any(letter in address for letter in " <>,;"):
        raise ValueError(f"{address!r} is not an e-mail address; it should look like duty@example.org")
    return address


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port
        is_right = False
    if not is_right or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is not an address of a web server; it should look like https://example.org/hook")
    return url


def _check_header(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"{text!r} cannot stand in a header; take printable ASCII letters")
    return text


_Mail = Annotated[str, AfterValidator(_check_mail)]
_Header = Annotated[str, AfterValidator(_check_header)]


class TargetSettings(Settings):
    """What every target takes.

    Attributes:
        timeout_s: how long one attempt may take.
        give_up_after_s: for how long a message is tried again before it is given up.
    """

    timeout_s: _Timeout = 20.0
    give_up_after_s: Seconds = 3600.0


class LogTarget(TargetSettings):
    """Writes a line for each alarm into the log of ``alarms run``."""

    kind: Literal["log"]


class CommandTarget(TargetSettings):
    """Runs a program with the message as JSON on its standard input; it must end with 0.

    Attributes:
        command: the program and its arguments; no shell reads them.
    """

    kind: Literal["command"]
    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class EmailTarget(TargetSettings):
    """Sends an e-mail.

    Attributes:
        host: the mail server.
        port: its port; by default 25, 587 with ``starttls``, 465 with ``tls``.
        security: whether the connection is encrypted: not at all, after a greeting, or from the beginning.
        user: the name to log in with.
        password_file: a file, readable by its owner alone, with the password.
        sender: the address that it comes from.
        to: the addresses that it goes to.
    """

    kind: Literal["email"]
    host: _Name
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["none", "starttls", "tls"] = "none"
    user: _Name | None = None
    password_file: PathOption | None = None
    sender: _Mail
    to: Annotated[list[_Mail], Field(min_length=1)]


class WebhookTarget(TargetSettings):
    """Posts the message as JSON; the answer must have a status from 200 to 299.

    Attributes:
        url: where to.
        headers: further headers.
        token_file: a file, readable by its owner alone, with what ``Authorization: Bearer`` is followed by.
    """

    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(_check_url)]
    headers: dict[_Header, _Header] = Field(default_factory=dict[str, str])
    token_file: PathOption | None = None


Target = LogTarget | CommandTarget | EmailTarget | WebhookTarget
TARGETS: Mapping[str, type[Target]] = {
    "log": LogTarget,
    "command": CommandTarget,
    "email": EmailTarget,
    "webhook": WebhookTarget,
}


class RuleSettings(Settings):
    """One rule: what is measured, where, which values are bad, and who is notified.

    Attributes:
        when: the condition.
        above: larger values are bad.
        below: smaller values are bad.
        clear_at: a value must come back to this to be good again; by default to the limit.
        raise_after_s: for how long values must be bad before the alarm is raised.
        clear_after_s: for how long values must be good before it is cleared.
        remind_every_s: how often an alarm that lasts is sent again; 0: never.
        components: patterns of ``NET.STA.NAME``; none: all.
        streams: patterns of streams; none: all.
        publishers: patterns of publishers' names; none: all.
        to: names of targets; none: all.
    """

    when: str
    above: float | None = None
    below: float | None = None
    clear_at: float | None = None
    raise_after_s: Seconds = 30.0
    clear_after_s: Seconds = 60.0
    remind_every_s: Seconds = 0.0
    components: list[str] = Field(default_factory=list)
    streams: list[str] = Field(default_factory=list)
    publishers: list[str] = Field(default_factory=list)
    to: list[str] = Field(default_factory=list)


class GeneralSettings(Settings):
    """Keys of the file beside rules and targets.

    Attributes:
        check_every_s: how often all components are asked.
        machine: how messages call this machine; by default its host name.
    """

    check_every_s: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    machine: Annotated[str, Field(max_length=100), AfterValidator(_check_header)] | None = None


@dataclass(frozen=True, slots=True)
class AlarmFile:
    """A whole file.

    Attributes:
        path: where it is.
        general: the keys beside rules and targets.
        rules: by name.
        targets: by name.
    """

    path: Path
    general: GeneralSettings
    rules: Mapping[str, RuleSettings]
    targets: Mapping[str, Target]
