"""Where the packets of a stream belong in time: what is jitter of their stamps, what is a wrong rate, what is a gap.

A device that stamps its packets with a computer's clock is off by up to half a sample from one packet to the next; its
samples are equally spaced all the same. See ``docs/decisions/stamps.md``.
"""

from collections import deque

from rawdaq.times import CONTIGUOUS_SAMPLES

#: This many packets in a row must deviate alike before the rate itself is called wrong ...
_DRIFT_PACKETS = 16
#: ... by more than this; a free-running crystal is 10 to 50 parts in a million off.
_DRIFT_LIMIT = 100e-6
#: ... and by less than this; every second or third packet missing looks just as regular, and each gap must be logged.
_LOSS_LIMIT = 0.4
_DRIFT_BEGINS = 4  # packets in a row that deviate alike are no jitter

#: Stamps that scatter less, in samples, are taken as they are: they harm nobody, and a good clock knows best.
_CALM = 1 / 8
#: How far a stamp may be off beyond `CONTIGUOUS_SAMPLES`: as the stamps scatter, since they have to be averaged before
#: one knows where the samples are; at the start by so much, when only one stamp is known.
_MOST_SLACK = 0.4
_KNOWN_SCATTER = 0.1  # for which no slack is needed
_FIRST_SLACK = 0.45
_FIRST_FORGET = 3 / 4  # of that is left with each packet
_FORGET = 49 / 50  # of the scatter
_MOST_STEP = 1 / 8  # in samples, of a packet from where the one before it ended, unless its stamp is too far then
_GAIN = 1 / 8  # of what a stamp departs from where the samples are expected is believed


class Drift:
    """Distinguishes a wrong rate from jitter: many residuals in a row of one sign and about one size."""

    __slots__ = ("is_active", "window")

    def __init__(self) -> None:
        self.is_active = False
        self.window: deque[tuple[int, int]] = deque(maxlen=_DRIFT_PACKETS)

    def end(self) -> None:
        """Note that a packet begins exactly where the one before it ended."""
        self.window.clear()
        self.is_active = False

    def add(self, residual_ns: int, duration_ns: int) -> float | None:
        """Return the relative drift when it is found, once, else None."""
        if residual_ns == 0:
            self.end()
            return None
        self.window.append((residual_ns, duration_ns))
        if len(self.window) < _DRIFT_PACKETS:
            return None
        residuals_ns = [residual for residual, _ in self.window]
        drift = sum(residuals_ns) / max(1, sum(duration for _, duration in self.window))
        is_wrong = _are_alike(residuals_ns) and _DRIFT_LIMIT < abs(drift) < _LOSS_LIMIT
        is_news = is_wrong and not self.is_active
        self.is_active = is_wrong
        return drift if is_news else None

    def step_ns(self, interval_ns: float) -> float:
        """Return by how much packets are later, each than the one before, as far as jitter does not explain it."""
        residuals_ns = [residual for residual, _ in self.window]
        total_ns = sum(residuals_ns)  # how far the newest stamp has departed since
        most_ns = 2 * CONTIGUOUS_SAMPLES * interval_ns  # of jitter, from one stamp to another
        has_jump = any(abs(residual) > most_ns for residual in residuals_ns)
        return 0.0 if has_jump or abs(total_ns) <= most_ns else total_ns / len(residuals_ns)

    def begins_with(self, residual_ns: int) -> bool:
        """Whether the stamps seem to advance at another rate, the newest residual included."""
        if self.is_active:
            return True
        latest_ns = [residual for residual, _ in list(self.window)[1 - _DRIFT_BEGINS :]]
        return len(latest_ns) == _DRIFT_BEGINS - 1 and _are_alike([*latest_ns, residual_ns])


def _are_alike(residuals_ns: list[int]) -> bool:
    """Whether they have one sign and about one size."""
    sizes_ns = [abs(residual) for residual in residuals_ns]
    is_steady = min(residuals_ns) > 0 or max(residuals_ns) < 0
    # 2 us is twice the step of a device's stamps
    return is_steady and max(sizes_ns) <= 3 * min(sizes_ns) + 2000


class Timeline:
    """Puts the packets of one stream where their samples are.

    Stamps that scatter by less than an eighth of a sample are taken as they are. Others are averaged, so that packets
    follow each other; a packet is never put further than half a sample from its stamp, nor from where the one before it
    ended. A stamp for which that is impossible begins anew: that is a gap or an overlap.

    Attributes:
        drift: detects a wrong rate.
        stamp_next_ns: where the next packet belongs by the stamp of the newest one.
    """

    __slots__ = ("_began_at", "_scatter", "_seen", "drift", "stamp_next_ns")

    def __init__(self) -> None:
        self.drift = Drift()
        self.stamp_next_ns = 0
        self._scatter = 0.0  # of late, in samples
        self._seen = self._began_at = 1  # packets

    def place(self, stamp_ns: int, next_ns: int, interval_ns: float, number: int) -> int:
        """Return where a packet belongs.

        Args:
            stamp_ns: the time that it bears.
            next_ns: where the packet before it ended.
            interval_ns: between two samples.
            number: how many packets were before it; not all of them need have been placed.
        """
        late = (stamp_ns - next_ns) / interval_ns
        count = number - self._began_at
        self._scatter *= _FORGET ** (number - self._seen)
        self._seen = number
        slack = max(min(self._scatter - _KNOWN_SCATTER, _MOST_SLACK), _FIRST_SLACK * _FIRST_FORGET**count)
        if abs(late) > CONTIGUOUS_SAMPLES + slack:
            self._began_at = number + 1
            return stamp_ns
        self._scatter = max(self._scatter, abs(late))
        if self._scatter <= _CALM:
            return stamp_ns
        gain = 1.0 if self.drift.begins_with(stamp_ns - self.stamp_next_ns) else max(_GAIN, 1 / (count + 2))
        drift = self.drift.step_ns(interval_ns) / interval_ns
        step = max(-_MOST_STEP, min(drift + (late - drift) * gain, _MOST_STEP))
        step = max(late - CONTIGUOUS_SAMPLES, min(step, late + CONTIGUOUS_SAMPLES))
        step = max(-CONTIGUOUS_SAMPLES, min(step, CONTIGUOUS_SAMPLES))
        return next_ns + round(step * interval_ns)
