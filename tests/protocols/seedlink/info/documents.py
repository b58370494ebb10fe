"""A document that has everything, and what any document may hold."""

from hypothesis import strategies as st

from rawdaq.protocols.seedlink import ConnectionDescription, InfoDocument, StationDescription, StreamDescription
from rawdaq.protocols.seedlink.info.v4 import MINISEED_FORMATS
from rawdaq.times import NS_PER_S, from_calendar

START_NS = from_calendar(2026, 333, 9, 0, 0)
END_NS = START_NS + 3600 * NS_PER_S - NS_PER_S // 100

STREAM = StreamDescription("00", "HHZ", START_NS, END_NS, gaps=((START_NS + NS_PER_S, START_NS + 2 * NS_PER_S),))
STATION = StationDescription("XX", "AAA", 'Hill & "Dale"', 1, 0x1F, (STREAM,))
CLIENT = ConnectionDescription(
    "192.0.2.7", 40000, START_NS, "slinktool/5", "SLPROTO4.0", 0x1E, 30, 15600, 2, 20, 1, 0.5, is_dial_up=True
)
DOCUMENT = InfoDocument(
    "SeedLink v4.0 (rawdaq/1) :: SLPROTO:4.0",
    "Institute",
    START_NS,
    ("dialup", "info:id"),
    (STATION, StationDescription("YY", "BBB")),
    (CLIENT,),
    MINISEED_FORMATS,
    (("native", "as stored"), ("3", "miniSEED 3")),
)

_TEXTS = st.text(max_size=20)
_CODES = st.text("ABC019", min_size=1, max_size=5)
_TIMES = st.none() | st.integers(0, from_calendar(2200, 1, 0, 0, 0)).map(lambda time_ns: time_ns // 1000 * 1000)
_STREAMS = st.builds(
    StreamDescription, st.text("AB0", max_size=2), st.text("HZE", min_size=3, max_size=3), _TIMES, _TIMES
)
STATIONS = st.builds(
    StationDescription,
    _CODES,
    _CODES,
    _TEXTS,
    st.integers(0, 2**24 - 1),
    st.integers(0, 2**24 - 1),
    st.lists(_STREAMS, max_size=3).map(tuple),
)
DOCUMENTS = st.builds(InfoDocument, _TEXTS, _TEXTS, _TIMES, stations=st.lists(STATIONS, max_size=3).map(tuple))
