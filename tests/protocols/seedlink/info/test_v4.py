import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.protocols.seedlink import ConnectionDescription, InfoDocument, InfoItem, StreamDescription
from rawdaq.protocols.seedlink.errors import InfoUnreadable
from rawdaq.protocols.seedlink.info.v4 import read_json, write_json
from rawdaq.times import NS_PER_S
from tests.protocols.seedlink.info.documents import CLIENT, DOCUMENT, DOCUMENTS, START_NS

KEYS = {
    InfoItem.ID: {"server_start"},
    InfoItem.FORMATS: {"format", "filter"},
    InfoItem.CAPABILITIES: {"capability"},
    InfoItem.STATIONS: {"station"},
    InfoItem.STREAMS: {"station"},
    InfoItem.CONNECTIONS: {"connections"},
}


def answer(item: InfoItem, document: InfoDocument = DOCUMENT, now_ns: int = 0) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(write_json(item, document, now_ns))
    return read


@pytest.mark.parametrize("item", KEYS)
def test_an_answer_holds_what_was_asked_for(item: InfoItem) -> None:
    assert answer(item).keys() == {"software", "organization"} | KEYS[item]


def test_formats_are_as_the_specification_has_them() -> None:
    formats = answer(InfoItem.FORMATS)
    assert formats["format"]["2"]["mimetype"] == "application/vnd.fdsn.mseed"
    assert formats["format"]["2"]["subformat"].keys() == set("DECTLO")
    assert formats["format"]["3"] == {"mimetype": "application/vnd.fdsn.mseed3", "subformat": {"D": "data"}}
    assert formats["filter"] == {"native": "as stored", "3": "miniSEED 3"}


def test_stations_and_streams_are_as_the_specification_has_them() -> None:
    first, second = answer(InfoItem.STATIONS)["station"]
    assert first == {"id": "XX_AAA", "description": 'Hill & "Dale"', "start_seq": 1, "end_seq": 31}
    assert second == {"id": "YY_BBB", "description": "Station ID YY_BBB", "start_seq": 0, "end_seq": 0}
    first, second = answer(InfoItem.STREAMS)["station"]
    assert second["stream"] == []
    assert first["stream"] == [
        {
            "id": "00_H_H_Z",
            "format": "2",
            "subformat": "D",
            "start_time": "2026-11-29T09:00:00.000000Z",
            "end_time": "2026-11-29T09:59:59.990000Z",
        }
    ]


def test_connections_have_counts_and_rates() -> None:
    connections = answer(InfoItem.CONNECTIONS, now_ns=START_NS + 10 * NS_PER_S)["connections"]
    assert connections["client_count"] == 1
    (client,) = connections["client"]
    assert (client["host"], client["client_port"], client["client_id"]) == ("192.0.2.7", "40000", "slinktool/5")
    assert (client["transmit_packets"], client["transmit_packets_rate"], client["lag_seconds"]) == (30, 3.0, 0.5)
    (client,) = answer(InfoItem.CONNECTIONS)["connections"]["client"]
    assert client["transmit_packets_rate"] == 0.0
    quiet = replace(DOCUMENT, connections=(ConnectionDescription("::1", 1, 0),))
    (client,) = answer(InfoItem.CONNECTIONS, quiet)["connections"]["client"]
    assert "lag_seconds" not in client


def test_an_error_says_nothing_else() -> None:
    document = replace(DOCUMENT, error=("ARGUMENTS", "no such item"))
    assert answer(InfoItem.STREAMS, document) == {
        "software": DOCUMENT.software,
        "organization": "Institute",
        "error": {"code": "ARGUMENTS", "message": "no such item"},
    }
    assert read_json(write_json(InfoItem.STREAMS, document)).error == ("ARGUMENTS", "no such item")


def test_what_was_written_is_read_again() -> None:
    stations = read_json(write_json(InfoItem.STREAMS, DOCUMENT)).stations
    assert stations[0] == replace(DOCUMENT.stations[0], streams=(replace(DOCUMENT.stations[0].streams[0], gaps=()),))
    assert read_json(write_json(InfoItem.CONNECTIONS, DOCUMENT)).connections == (CLIENT,)
    formats = read_json(write_json(InfoItem.FORMATS, DOCUMENT))
    assert (formats.formats, formats.filters) == (DOCUMENT.formats, DOCUMENT.filters)
    assert read_json(write_json(InfoItem.CAPABILITIES, DOCUMENT)).capabilities == DOCUMENT.capabilities
    assert read_json(write_json(InfoItem.ID, DOCUMENT)).started_ns == START_NS
    assert read_json(write_json(InfoItem.ID, replace(DOCUMENT, started_ns=None))).started_ns is None


def test_long_codes_keep_their_form() -> None:
    text = '{"station": [{"id": "XX_AAA", "stream": [{"id": "00_H_ABC_Z", "format": "3"}, {"id": "00__H_"}]}]}'
    first, second = read_json(text).stations[0].streams
    assert first == StreamDescription("00", "H_ABC_Z", format="3", subformat="")
    assert second.channel == "_H_"


@pytest.mark.parametrize("text", ["", "[]", "{", "1", '{"a": ' + "[" * 100_000])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(InfoUnreadable, match="unreadable INFO answer"):
        read_json(text)


def test_values_of_another_type_are_read_as_empty() -> None:
    text = """{"software": 1, "organization": null, "started": 5, "capability": "x", "station": [1, {"id": 7,
    "start_seq": "1", "end_seq": true, "stream": {}}], "connections": {"client": [{"host": 1, "ip_address": "::1",
    "client_port": "x",
    "lag_seconds": 1e400, "stream_count": 1e3}, {"client_port": 80, "lag_seconds": 3}]}, "format": 3, "filter": []}"""
    document = read_json(text)
    assert (document.software, document.organization, document.started_ns, document.capabilities) == ("", "", None, ())
    assert [each.station_id for each in document.stations] == ["_", "_"]
    assert document.stations[1].end_sequence is None
    first, second = document.connections
    assert (first.host, first.port, first.stream_count) == ("::1", 0, 0)
    assert (second.port, second.lag_s) == (80, 3)
    huge = read_json('{"station": [{"start_seq": 1' + "0" * 400 + "}]}").stations[0]
    assert huge.begin_sequence is None


@given(DOCUMENTS)
def test_any_document_is_written_and_read_again(document: InfoDocument) -> None:
    again = read_json(write_json(InfoItem.STREAMS, document))
    assert (again.software, again.organization) == (document.software, document.organization)
    for read, written in zip(again.stations, document.stations, strict=True):
        assert replace(read, description="") == replace(written, description="")
        assert read.description == (written.description or f"Station ID {written.station_id}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "station", "stream", "connections", "client", "format", "error", "client_port"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_json_is_an_answer_or_refused(value: object) -> None:
    try:
        read_json(json.dumps(value))
    except InfoUnreadable:
        assert not isinstance(value, dict)
