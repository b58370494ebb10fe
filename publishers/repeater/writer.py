"""What an output for the detector writer adds to each frame, and when the writer's file ends."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rawdaq.errors import InvalidValue
from rawdaq.multipart import Part
from rawdaq.protocols.writer_header import MAX_INT32, MAX_READ_BYTES, WriterRun, rewrite
from rawdaq.protocols.zmtp import frame_message
from rawdaq.publishers.repeater.backlog import Outgoing

_TEXTS: Final = ("output_file", "detector_name")
_NUMBERS: Final = {"run_id": 0, "n_images": 1, "user_id": 0, "status": 0}  # with the smallest that each may be
_DEFAULTS: Final = {"user_id": 0, "status": 0}


def writer_mistakes(given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the values of a run; nothing when it is complete."""
    known = (*_TEXTS, *_NUMBERS)
    mistakes = [f"{key} is not a key of the writer; known: {', '.join(known)}" for key in given if key not in known]
    for key in _TEXTS:
        if key not in given:
            mistakes.append(f"{key} is missing")
        elif not isinstance(given[key], str) or not given[key]:
            mistakes.append(f"{key} {given[key]!r} is not a text, or empty")
    for key, low in _NUMBERS.items():
        value = given.get(key, _DEFAULTS.get(key))
        if value is None and key not in given:
            mistakes.append(f"{key} is missing")
        elif type(value) is not int or not low <= value <= MAX_INT32:
            mistakes.append(f"{key} {value!r} is not a whole number from {low} to {MAX_INT32}")
    return mistakes


def writer_run(given: Mapping[str, Any]) -> WriterRun:
    """Return the run that *given* says; numbers may be text.

    Raises:
        InvalidValue: every mistake in it.
    """
    values = {key: _number(value) if key in _NUMBERS else value for key, value in given.items()}
    if mistakes := writer_mistakes(values):
        raise InvalidValue("; ".join(mistakes))
    return WriterRun(**values)


def _number(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        return int(value)
    return value


class WriterHeaders:
    """Makes the headers of one output for the writer.

    Args:
        log: where it is logged that a header is too long.
        closes: whether the file is closed after its last image, and later frames are not sent.

    Attributes:
        run: what the writer must know; None: it is not known yet, and frames are refused.
    """

    def __init__(self, log: logging.Logger, closes: bool) -> None:
        self.run: WriterRun | None = None
        self._log = log
        self._closes = closes
        self._index = 0
        self._is_long_logged = False

    def begin(self, run: WriterRun) -> None:
        """Begin a run with image 0."""
        self.run = run
        self._index = 0

    def refusal(self, keys: Mapping[str, Any] | None, parts: Sequence[Part]) -> str | None:
        """Return why a frame cannot be sent to the writer, None when it can.

        Args:
            keys: those of its header.
            parts: header and what follows it.
        """
        if self.run is None:
            return "no writer configuration"
        if keys is None or not isinstance(keys.get("image_attributes", {}), dict):
            return "header that cannot be rewritten"
        return None if len(parts) > 1 else "no data"

    def pieces(self, item: Outgoing) -> list[Part] | None:
        """Return what goes to a socket for the frame that is sent next; None: it comes after the last image."""
        run, index = self.run, self._index
        assert run is not None and item.keys is not None  # noqa: S101, PT018 - `refusal` has looked
        if self._closes and index >= run.n_images:
            return None
        self._index += 1
        pieces = self._message(item.keys, run, index, item.data)
        if self._closes and self._index == run.n_images:
            pieces += self._message(item.keys, run, run.n_images, b"")
        return pieces

    def _message(self, keys: Mapping[str, Any], run: WriterRun, index: int, data: Part) -> list[Part]:
        header = rewrite(keys, run, index)
        if len(header) > MAX_READ_BYTES and not self._is_long_logged:
            self._is_long_logged = True
            self._log.warning(
                "the header for the writer has %d bytes; writers that read only %d of them fail",
                len(header),
                MAX_READ_BYTES,
            )
        return frame_message([header, data])

    def status(self) -> dict[str, object]:
        """Return how many images the file has got."""
        return {"i_image": self._index, "n_images": None if self.run is None else self.run.n_images}
