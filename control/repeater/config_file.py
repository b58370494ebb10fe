"""Configuration files of a repeater: JSON with the objects ``in-stream`` and ``out-streams``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rawdaq.config.registry import suggestion
from rawdaq.control.repeater.config import Config, Mistaken
from rawdaq.control.repeater.values import SHARED

MAX_FILE_BYTES = 1 << 20

_IN = {"address": "in_address", "zmq_mode": "in_zmq_mode"}
_OUT = {
    "zmq_mode": "zmq_modes",
    "port": "stream_ports",
    "send_output_mode": "send_output_mode",
    "send_output_param": "send_output_param",
}
_OUT_OPTIONAL = {
    "frame_block": "frame_blocks",
    **{key: key for key in ("origin", "overflow", "header", "n_images_end", "address")},
}
_TOP = tuple(key for key in SHARED if key not in (*_IN.values(), "config_file"))
_OLDER = "older forms, with lists or comments, are not read: out-streams is an object with an entry for each output"


class FileReader:
    """Reads configuration files of a folder.

    Args:
        folder: files elsewhere are refused.
        ignores_unknown: whether keys that are not known are left out, and reported.

    Attributes:
        ignored: those of the last file.
    """

    def __init__(self, folder: Path, *, ignores_unknown: bool = False) -> None:
        self.folder = folder.resolve()
        self.ignored: list[str] = []
        self._ignores_unknown = ignores_unknown

    def path(self, name: str) -> Path:
        """Return the path of the file that is called *name*, from the folder or whole.

        Raises:
            Mistaken: it is outside the folder, or cannot be read.
        """
        try:
            path = (self.folder / name).resolve()
            if not path.is_relative_to(self.folder):
                raise Mistaken([f"config_file {name!r} is outside of {self.folder}, where configurations are"])
            if not path.is_file():
                raise Mistaken([f"config_file {name!r}: there is no such file in {self.folder}"])
        except (OSError, ValueError) as error:  # a name that no file can have
            raise Mistaken([f"config_file {name!r} cannot be read: {error}"]) from error
        return path

    def read(self, name: str) -> Config:
        """Return the configuration that a file says; what it does not say has its default.

        Raises:
            Mistaken: it cannot be read, or what it says cannot be.
        """
        self.ignored = []
        content = _json(self.path(name), name)
        mistakes: list[str] = []
        changes = self._values(content, mistakes)
        made = Config()
        try:
            made = Config().changed(changes | {"config_file": name}, self._label(content))
        except Mistaken as error:
            mistakes += [_in_words_of_file(mistake) for mistake in error.mistakes]
        if mistakes:
            raise Mistaken(list(dict.fromkeys(f"{name}: {mistake}" for mistake in mistakes)))
        return made

    def _values(self, content: Mapping[str, Any], mistakes: list[str]) -> dict[str, Any]:
        source = _object(content, "in-stream", mistakes)
        outputs = _object(content, "out-streams", mistakes)
        self._check_known(content, ("in-stream", "out-streams", *_TOP), "", mistakes)
        self._check_known(source, ("name", *_IN), "in-stream.", mistakes)
        changes: dict[str, Any] = {key: content[key] for key in _TOP if key in content}
        for key, name in _IN.items():
            if key in source:
                changes[name] = source[key]
            elif key != "address":
                mistakes.append(f"in-stream.{key} is missing")
        if outputs:
            changes |= self._lists(outputs, mistakes)
        return changes

    def _lists(self, outputs: Mapping[str, Any], mistakes: list[str]) -> dict[str, list[Any]]:
        lists: dict[str, list[Any]] = {"stream_names": list(outputs)}
        entries = [_object(outputs, name, mistakes, "out-streams.") for name in outputs]
        for name, entry in zip(outputs, entries, strict=True):
            self._check_known(entry, (*_OUT, *_OUT_OPTIONAL), f"out-streams.{name}.", mistakes)
            needed = [key for key in _OUT if not (key == "port" and "address" in entry)]
            mistakes += [f"out-streams.{name}.{key} is missing" for key in needed if entry and key not in entry]
        for key, name in (_OUT | _OUT_OPTIONAL).items():
            if key in _OUT or any(key in entry for entry in entries):
                lists[name] = [entry.get(key) for entry in entries]
        return lists

    def _check_known(self, content: Mapping[str, Any], known: tuple[str, ...], where: str, mistakes: list[str]) -> None:
        for key in content:
            if key not in known and self._ignores_unknown:
                self.ignored.append(f"{where}{key}")
            elif key not in known:
                mistakes.append(f"{where}{key} is not a key of the configuration; {suggestion(key, known)}")

    def _label(self, content: Mapping[str, Any]) -> Any:
        names = {value: key for key, value in (_OUT | _OUT_OPTIONAL).items()}

        def label(key: str, value: Any, index: int) -> str:
            output = list(cast("Mapping[str, Any]", content["out-streams"]))[index]
            return f"out-streams.{output}.{names[key]} {value!r}" if key in names else f"out-streams.{output}"

        return label


def _in_words_of_file(mistake: str) -> str:
    key, space, rest = mistake.partition(" ")
    names = {value: f"in-stream.{key}" for key, value in _IN.items()}
    return f"{names.get(key.rstrip(':'), key)}{space}{rest}"


def _json(path: Path, name: str) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Mistaken([f"{name} has more than {MAX_FILE_BYTES} bytes, and is no configuration"])
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise Mistaken(
            [f"{name}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}); {_OLDER}"]
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Mistaken([f"{name} cannot be read: {reason}"]) from None
    if not isinstance(content, dict):
        raise Mistaken([f"{name} is not a JSON object; {_OLDER}"])
    return cast("Mapping[str, Any]", content)


def _object(content: Mapping[str, Any], key: str, mistakes: list[str], where: str = "") -> Mapping[str, Any]:
    value = content.get(key)
    if isinstance(value, dict):
        return cast("Mapping[str, Any]", value)
    if key not in content:
        mistakes.append(f"{where}{key} is missing")
    else:
        mistakes.append(f"{where}{key} is not an object" + (f"; {_OLDER}" if isinstance(value, list) else ""))
    return {}
