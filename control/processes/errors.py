"""Why a component did not start, or did not stop as it should."""

from rawdaq.errors import ComponentError, error_text


class StartFailed(ComponentError):
    """A component did not come up.

    Args:
        key: its ``NET.STA.NAME``.
        reason: why, in one line.
        lines: the other lines at the end of its log, since this start.
    """

    def __init__(self, key: str, reason: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(key, reason, lines)
        self.key, self.reason, self.lines = key, reason, lines

    def __str__(self) -> str:
        lines = "".join(f"\n    {line}" for line in self.lines)
        return f"{self.key} did not start: {self.reason}" + (f"\n  its last log lines:{lines}" if lines else "")


@error_text(
    "{key} did not stop within {timeout_s:g} s and was killed: what waited in its queues is lost; "
    "Daemon.stop_timeout_s gives it longer"
)
class Killed(ComponentError):
    """A component did not stop in time and was killed.

    Args:
        key: its ``NET.STA.NAME``.
        timeout_s: how long it was given.
    """

    key: str
    timeout_s: float


@error_text(
    "{key} did not stop within {timeout_s:g} s and was not killed, others share its process; "
    "`control-rawdaq stop {group}` stops them all"
)
class NotStopped(ComponentError):
    """A component did not stop in time, and others need its process.

    Args:
        key: its ``NET.STA.NAME``.
        timeout_s: how long it was given.
        group: what the process is called.
    """

    key: str
    timeout_s: float
    group: str


@error_text("{key} has stopped, but with an error: {reason}; see {hint}")
class EndedWithError(ComponentError):
    """A component has stopped when asked to, but not in order.

    Args:
        key: its ``NET.STA.NAME``.
        reason: what went wrong.
        hint: where more may be found.
    """

    key: str
    reason: str
    hint: str
