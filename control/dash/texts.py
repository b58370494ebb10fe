"""Numbers, times and names as the dashboard writes them: short, and in columns that do not change their width."""

from rawdaq.times import NS_PER_DAY, NS_PER_S, duration_text, to_iso

NOTHING = "-"
_PREFIXES = ("", "k", "M", "G", "T")


def rate(per_s: float | None) -> str:
    """Return a rate with an SI prefix, three digits.

    >>> rate(0.25), rate(12.5), rate(300), rate(48_000), rate(999.9), rate(None), rate(0)
    ('0.25', '12.5', '300', '48.0k', '1.00k', '-', '0')
    """
    if per_s is None:
        return NOTHING
    if per_s < 0.005:
        return "0"
    index = 0
    while round(per_s, 2 - _digits(per_s)) >= 1000 and index < len(_PREFIXES) - 1:
        per_s, index = per_s / 1000, index + 1
    return f"{per_s:.{max(0, 2 - _digits(per_s))}f}{_PREFIXES[index]}"


def _digits(value: float) -> int:
    """Return how many digits *value* has before the point, less one, at most 2."""
    return 2 if value >= 100 else 1 if value >= 10 else 0


def number(value: int | None) -> str:
    """Return a count, with a prefix above five digits.

    >>> number(0), number(99_999), number(1_234_567), number(None)
    ('0', '99999', '1.23M', '-')
    """
    return NOTHING if value is None else str(value) if value < 100_000 else rate(value)


def seconds(value: float | None) -> str:
    """Return a duration in at most seven characters.

    >>> [seconds(each) for each in (None, 0.0016, 0.5, 12.34, 400, 90_000, -3.0)]
    ['-', '2 ms', '0.50 s', '12.3 s', '7 min', '25 h', '-3.00 s']
    """
    if value is None:
        return NOTHING
    sign, value = "-" if value < 0 else "", abs(value)
    for least, divisor, form in (
        (864_000, 86_400, "{:.0f} d"),
        (7200, 3600, "{:.0f} h"),
        (100, 60, "{:.0f} min"),
        (9.995, 1, "{:.1f} s"),
        (0.0995, 1, "{:.2f} s"),
    ):
        if value >= least:
            return sign + form.format(value / divisor)
    return sign + f"{value * 1000:.0f} ms"


def clock(time_ns: int | None, now_ns: int) -> str:
    """Return the time of a day, or the day when that is not today, in at most eight characters, UTC.

    >>> clock(1795219200000000000, 1795219260000000000), clock(1795219200000000000, 1795319260000000000)
    ('00:00:00', '11-21')
    """
    if time_ns is None:
        return NOTHING
    text = to_iso(time_ns, 0)
    if time_ns // NS_PER_DAY == now_ns // NS_PER_DAY:
        return text[11:19]
    return text[5:10] if text[:4] == to_iso(now_ns, 0)[:4] else text[:7]


def ago(time_ns: int, now_ns: int) -> str:
    """Return a time, and how long ago that is.

    >>> ago(1795219200000000000, 1795219260000000000)
    '2026-11-21T00:00:00Z, 1 min 0 s ago'
    """
    return f"{to_iso(time_ns, 0)}, {duration_text(max(0, now_ns - time_ns) / NS_PER_S)} ago"


def size(value: int | None) -> str:
    """Return a size in bytes.

    >>> size(64303104), size(None)
    ('64.3 MB', '-')
    """
    if value is None:
        return NOTHING
    text = rate(value)
    return f"{text} B" if text[-1].isdigit() else f"{text[:-1]} {text[-1]}B"


def short(text: str, width: int) -> str:
    """Return *text* in at most *width* characters; of a longer one the middle is left out: both ends say something.

    >>> short("DEMO/RawReceiver", 12), short("DEMO", 12), short("DEMO", 1), short("DEMO", 0)
    ('DEMO/R…eiver', 'DEMO', '…', '')
    """
    if len(text) <= width:
        return text
    if width < 1:
        return ""
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def clean(text: str) -> str:
    r"""Return *text* in one line, without what would move a terminal's cursor or change its colours.

    >>> clean("a\x1b[31mb\n c")
    'a [31mb c'
    """
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
