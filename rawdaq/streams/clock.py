"""Times of a device that cannot be right: what they look like, in the words of an operator."""

from rawdaq.times import NS_PER_DAY, NS_PER_S, duration_text, to_iso

#: Departures from this machine's clock below this are latency, time zones and devices that buffer.
SUSPICIOUS_NS = NS_PER_DAY

_ROLLOVER_NS = 1024 * 7 * NS_PER_DAY  # after so many weeks the week number of GPS begins again
_GPS_EPOCH_NS = 315_964_800 * NS_PER_S  # 1980-01-06
_UNSET_NS = 3650 * NS_PER_DAY  # a clock that was never set counts on from an epoch for some years at most


def clock_problem(time_ns: int, now_ns: int) -> str | None:
    """Return what a time of a device looks like when it is more than a day away from *now_ns*, else None.

    >>> now_ns = 1795219200000000000
    >>> clock_problem(now_ns - 1024 * 7 * 86400 * 10**9, now_ns)
    '1024 weeks behind: a GPS week rollover'
    >>> clock_problem(3600 * 10**9, now_ns)
    'a clock that is not set (1970)'
    >>> clock_problem(now_ns + 40 * 365 * 86400 * 10**9, now_ns)
    '14600 d 0 h ahead'
    >>> clock_problem(now_ns, now_ns)
    """
    late_ns = time_ns - now_ns
    if -SUSPICIOUS_NS <= late_ns <= SUSPICIOUS_NS:
        return None
    word = "behind" if late_ns < 0 else "ahead"
    for epoch_ns in (0, _GPS_EPOCH_NS):
        if epoch_ns <= time_ns < epoch_ns + _UNSET_NS:
            return f"a clock that is not set ({to_iso(time_ns)[:4]})"
    times = round(abs(late_ns) / _ROLLOVER_NS)
    if times and abs(abs(late_ns) - times * _ROLLOVER_NS) <= SUSPICIOUS_NS:
        return f"{times * 1024} weeks {word}: a GPS week rollover"
    return f"{duration_text(abs(late_ns) / NS_PER_S)} {word}"
