"""Which alarms were sent, in a file: a watch that is started again repeats what is still bad only when it is due."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from rawdaq.control.alarms.engine import Told
from rawdaq.outage import Outage

_SUFFIX: Final = ".alarms"  # one that a runtime folder may hold, see `rawdaq.process.user_folders`

_CONTENT: Final = TypeAdapter(list[Told])
_LOG = logging.getLogger("rawdaq.alarms")


class Memory:
    """The file.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: list[Told] | None = None
        self._failing = Outage(_LOG)

    @classmethod
    def of(cls, folder: Path, rules: Path) -> "Memory":
        """Return that of the watch with this file of rules, in the folder of runtime files."""
        name = hashlib.sha256(os.fsencode(rules.absolute())).hexdigest()[:16]
        return cls(folder / f"{name}{_SUFFIX}")

    def load(self) -> list[Told]:
        """Return what it holds; nothing, with a line in the log, where it is damaged or cannot be read."""
        try:
            self._kept = _CONTENT.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            why = _why(error)
            _LOG.warning("%s is ignored (%s): what is bad now is sent as if it were new", self.path, why)
            return []
        return list(self._kept)

    def save(self, told: Sequence[Told]) -> None:
        """Hold *told*: after a crash there is this, or what was there before. A failure is logged once."""
        if self._kept == told:
            return
        try:
            self._write(_CONTENT.dump_json(list(told)))
        except OSError as error:
            if not self._failing.is_on:
                lost = "after a restart what is bad is sent once more"
                self._failing.log("%s cannot be written: %s; %s", self.path, _why(error), lost)
            return
        if self._failing.is_on:
            _LOG.warning("%s is written again", self.path)
            self._failing.clear()
        self._kept = list(told)

    def _write(self, content: bytes) -> None:
        new = self.path.with_suffix(f".new{_SUFFIX}")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def _why(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first: Any = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
