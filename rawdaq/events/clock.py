"""What timestamps say of this machine's clock and of their own: the offset between them, and how good they are."""

from collections import deque

from rawdaq.protocols.events import Event

#: The offset is the smallest one in so many seconds: what is later was delayed on its way.
WINDOW_S = 10.0
#: A timestamp is as good as it says for so long; most clocks tell the time each second ...
_FRESH_S = 2.0
#: ... and after this time without a new one nothing is known.
_DEAD_S = 60.0
_MOST = 10_000  # timestamps in the window


class ClockState:
    """Follows the timestamps of one clock.

    Attributes:
        timestamps: how many came that say the time.
    """

    def __init__(self) -> None:
        self.timestamps = 0
        self._offsets: deque[tuple[float, int]] = deque(maxlen=_MOST)  # rising from left to right in both
        self._quality = 100
        self._newest_s: float | None = None

    def add(self, event: Event, received_ns: int, now_s: float) -> None:
        """Take *event*, which arrived at *received_ns*.

        Args:
            event: what a message says.
            received_ns: this machine's clock when it came.
            now_s: a clock that only runs forward, then.
        """
        if event.quality is not None:
            self._quality = event.quality
        if event.time_ns is None:
            return
        self.timestamps += 1
        self._newest_s = now_s
        offset_ns = received_ns - event.time_ns
        while self._offsets and self._offsets[-1][1] >= offset_ns:
            self._offsets.pop()
        self._offsets.append((now_s, offset_ns))

    def offset_ns(self, now_s: float) -> int | None:
        """Return how much later than their time timestamps arrive by this machine's clock; None: none came lately.

        The smallest of the last `WINDOW_S`: this clock's offset, and what a message needs at least.
        """
        while self._offsets and self._offsets[0][0] < now_s - WINDOW_S:
            self._offsets.popleft()
        return self._offsets[0][1] if self._offsets else None

    def quality(self, now_s: float) -> int:
        """Return 0 to 100: what the newest timestamp says of itself, less as it gets older, 0 without any."""
        if self._newest_s is None:
            return 0
        age_s = now_s - self._newest_s
        left = min(1.0, max(0.0, (_DEAD_S - age_s) / (_DEAD_S - _FRESH_S)))
        return round(self._quality * left)

    def status(self, now_s: float) -> dict[str, object]:
        """Return what `status` shows."""
        age_s = None if self._newest_s is None else round(now_s - self._newest_s, 3)
        return {
            "timestamps": self.timestamps,
            "clock_offset_ns": self.offset_ns(now_s),
            "clock_quality": self.quality(now_s),
            "last_timestamp_age_s": age_s,
        }
