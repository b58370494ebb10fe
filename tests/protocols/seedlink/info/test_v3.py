from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.seedlink import (
    ConnectionDescription,
    InfoDocument,
    InfoItem,
    StationDescription,
    StreamDescription,
)
from rawdaq.protocols.seedlink.errors import InfoUnreadable
from rawdaq.protocols.seedlink.info.v3 import read_xml, write_xml
from rawdaq.protocols.seedlink.words import one_line
from rawdaq.times import from_calendar
from tests.protocols.seedlink.info.documents import CLIENT, DOCUMENT, DOCUMENTS, STATION, STREAM

# The names of the elements in the answer to each level.
ELEMENTS = {
    InfoItem.ID: ["seedlink"],
    InfoItem.CAPABILITIES: ["seedlink", "capability", "capability"],
    InfoItem.STATIONS: ["seedlink", "station", "station"],
    InfoItem.STREAMS: ["seedlink", "station", "stream", "station"],
    InfoItem.GAPS: ["seedlink", "station", "stream", "gap", "station"],
    InfoItem.CONNECTIONS: ["seedlink", "station", "connection"],
    InfoItem.ALL: [
        "seedlink",
        "capability",
        "capability",
        "station",
        "stream",
        "gap",
        "station",
        "station",
        "connection",
    ],
}


@pytest.mark.parametrize("item", ELEMENTS)
def test_an_answer_holds_what_was_asked_for(item: InfoItem) -> None:
    text = write_xml(item, DOCUMENT)
    assert text.startswith('<?xml version="1.0"?><seedlink software="SeedLink v4.0 ')
    assert text.isascii()
    assert [each.tag for each in ElementTree.fromstring(text).iter()] == ELEMENTS[item]


def test_streams_are_written_as_ringserver_does() -> None:
    root = ElementTree.fromstring(write_xml(InfoItem.STREAMS, DOCUMENT))
    station, other = root.findall("station")
    (stream,) = station
    assert station.attrib == {
        "name": "AAA",
        "network": "XX",
        "description": 'Hill & "Dale"',
        "begin_seq": "000001",
        "end_seq": "00001F",
        "stream_check": "enabled",
    }
    assert stream.attrib == {
        "location": "00",
        "seedname": "HHZ",
        "type": "D",
        "begin_time": "2026-11-29T09:00:00.000000Z",
        "end_time": "2026-11-29T09:59:59.990000Z",
    }
    assert (other.get("description"), other.get("begin_seq"), other.get("end_seq")) == (
        "Station ID YY_BBB",
        "000000",
        "000000",
    )


def test_a_client_is_written_as_ringserver_does() -> None:
    root = ElementTree.fromstring(write_xml(InfoItem.CONNECTIONS, DOCUMENT))
    (station,) = root
    assert (station.get("network"), station.get("name")) == ("SL", "CLIENT")
    assert {
        "host": "192.0.2.7",
        "port": "40000",
        "txcount": "30",
        "current_seq": "00001E",
        "realtime": "no",
    }.items() <= (station[0].attrib.items())
    quiet = replace(DOCUMENT, connections=(ConnectionDescription("::1", 1, 0, has_ended=True),))
    (station,) = ElementTree.fromstring(write_xml(InfoItem.CONNECTIONS, quiet))
    assert (station.get("description"), station[0].get("current_seq")) == ("unknown client", "unset")


def test_what_was_written_is_read_again() -> None:
    document = read_xml(write_xml(InfoItem.ALL, DOCUMENT).encode())
    assert (document.software, document.organization, document.started_ns, document.capabilities) == (
        DOCUMENT.software,
        DOCUMENT.organization,
        DOCUMENT.started_ns,
        DOCUMENT.capabilities,
    )
    assert document.stations[0] == STATION
    (client,) = document.connections
    assert client == ConnectionDescription(
        CLIENT.host, CLIENT.port, CLIENT.connected_ns, CLIENT.client, "", 0x1E, 30, is_dial_up=True
    )


RINGSERVER = """<?xml version="1.0"?>
<seedlink software="SeedLink v3.1 (RingServer)" organization="Ring" started="2026-11-29T09:00:00.000000Z">
  <station name="AAA" network="XX" description="Station ID XX_AAA" begin_seq="28" end_seq="1099511627776">
    <stream location="00" seedname="HHZ" type="D" begin_time="2026-11-29T09:00:00.000000Z" end_time="nonsense"/>
  </station>
</seedlink>"""

SEISCOMP = """<?xml version="1.0"?>
<seedlink software="SeedLink v3.3 (2024.020)" organization="SC" started="2026/11/29 09:00:00.0000">
<station name="AAA  " network="XX" description="Hill" begin_seq="0000D0" end_seq="0000D9" stream_check="enabled">
<stream location="  " seedname="HHZ" type="D" begin_time="2026/11/29 09:00:00.0000" end_time="2026/11/29 10:00:00.0000">
<gap begin_time="2026/11/29 09:10:00.0000" end_time="2026/11/29 09:11:00.0000"/><gap begin_time="x"/></stream>
<connection host="192.0.2.7" port="4000" ctime="2026/11/29 09:00:00.0000" current_seq="unset" txcount="7"
 realtime="yes" end_of_data="yes"><window/><selector pattern="??HHZ.?"/></connection></station></seedlink>"""
NINE_NS = from_calendar(2026, 333, 9, 0, 0)
MINUTE_NS = 60_000_000_000


def test_answers_of_ringserver_are_read() -> None:
    document = read_xml(RINGSERVER)
    (station,) = document.stations
    assert (station.begin_sequence, station.end_sequence) == (28, 2**40)
    assert station.streams == (StreamDescription("00", "HHZ", NINE_NS, None),)


def test_answers_of_seiscomp_are_read() -> None:
    document = read_xml(SEISCOMP)
    assert document.started_ns == NINE_NS
    (station,) = document.stations
    assert (station.station, station.begin_sequence, station.end_sequence) == ("AAA", 0xD0, 0xD9)
    gaps = ((NINE_NS + 10 * MINUTE_NS, NINE_NS + 11 * MINUTE_NS),)
    assert station.streams == (StreamDescription("", "HHZ", NINE_NS, NINE_NS + 60 * MINUTE_NS, gaps=gaps),)
    (client,) = document.connections
    assert client == ConnectionDescription("192.0.2.7", 4000, NINE_NS, sent_packets=7, has_ended=True)


WRONG = {
    "no element found": "",
    "unclosed token": "<seedlink",
    "root is 'html'": "<html/>",
    "declares a document type": '<!DOCTYPE x [<!ENTITY a "aaaa">]><seedlink software="&a;"/>',
    "surrogates": "<seedlink software='\ud800'/>",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_answer_is_refused(words: str) -> None:
    with pytest.raises(InfoUnreadable, match=words):
        read_xml(WRONG[words])


def test_an_answer_without_attributes_is_empty() -> None:
    assert read_xml(b"<seedlink><station/></seedlink>") == InfoDocument("", "", stations=(StationDescription("", ""),))


@given(DOCUMENTS)
def test_any_document_is_written_and_read_again(document: InfoDocument) -> None:
    again = read_xml(write_xml(InfoItem.STREAMS, document))
    assert again.started_ns == document.started_ns
    for read, written in zip(again.stations, document.stations, strict=True):
        assert (read.station_id, read.streams) == (written.station_id, written.streams)
        assert (read.begin_sequence, read.end_sequence) == (written.begin_sequence, written.end_sequence)
        if written.description.isascii() and written.description.isprintable() and written.description.strip():
            assert read.description == one_line(written.description)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    for text in (data, b"<seedlink>" + data + b"</seedlink>"):
        try:
            read_xml(text)
        except InfoUnreadable:
            pass


def test_what_stream_has_is_left_out_where_it_was_not_asked_for() -> None:
    assert STREAM.gaps
    assert read_xml(write_xml(InfoItem.STREAMS, DOCUMENT)).stations[0].streams[0].gaps == ()
