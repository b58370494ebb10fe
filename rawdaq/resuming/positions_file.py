"""A file for how far a server was read, so that a restart goes on where the last run ended."""

import asyncio
import logging
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rawdaq.disk.files import replace_file
from rawdaq.disk.threads import in_new_thread
from rawdaq.errors import ComponentError

_WRITE_S = 10.0  # how long a disk may take
_MAX_FILE_BYTES = 256 << 20  # 10 000 stations of 100 streams have 200 MB

Model = TypeVar("Model", bound=BaseModel)


def load_positions(path: Path, model: type[Model], server: str) -> Model:
    """Return what *path* holds; a new *model* when there is no such file.

    Args:
        path: the file.
        model: what is in it.
        server: whose positions these are, such as ``a SeedLink server``.

    Raises:
        ComponentError: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES)
        return model.model_validate_json(text)
    except FileNotFoundError:
        return model()
    except OSError as error:
        raise ComponentError(
            f"cannot read the positions in {path}: {error.strerror or error}; make it readable"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ComponentError(
            f"{path} holds no positions of {server} ({where}: {first['msg']}); name another file, or move it "
            "away to begin anew as `start` says"
        ) from error


class PositionsFile:
    """Writes positions; what goes wrong is logged when it is new, and again when it is over.

    Args:
        path: the file.
        log: where that is logged.

    Attributes:
        path: as the argument.
        failure: why it was not written the last time, None if it was.
    """

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self.path = path
        self.failure: str | None = None
        self._log = log

    async def write(self, data: bytes) -> None:
        """Replace the file by *data*; a disk that does not answer is given up."""
        try:
            async with asyncio.timeout(_WRITE_S):
                await in_new_thread("writing positions", replace_file, self.path, data)
        except OSError as error:  # or TimeoutError, which says nothing by itself
            reason = f"cannot write {self.path}: {error.strerror or 'its disk does not answer'}"
            if reason != self.failure:
                self._log.error("%s; a restart would go on where it was written last: make it writable", reason)
            self.failure = reason
            return
        if self.failure is not None:
            self._log.warning("%s is written again", self.path)
            self.failure = None
