"""The client's side: INFO and its answers, between packets and cut anywhere."""

import json
from collections.abc import Sequence

import pytest

from rawdaq.errors import LocalProtocolError
from rawdaq.protocols.seedlink import (
    DataPacket,
    InfoItem,
    InfoReceived,
    InfoRefused,
    SeedLinkVersion,
    Streaming,
    v4,
)
from rawdaq.protocols.seedlink.client.connection import MAX_UNANSWERED
from rawdaq.protocols.seedlink.errors import (
    PayloadTooLarge,
)
from tests.protocols.seedlink.client.playing import (
    BBB,
    ERROR,
    OK,
    RECORD,
    V3,
    V4,
    info_v3,
    ready,
    streaming,
    v4_packet,
)


@pytest.mark.parametrize("size", [1, 4096])
def test_an_answer_in_records_is_put_together(size: int) -> None:
    play = ready(V3, size)
    play.client.send_info(InfoItem.STREAMS)
    assert play.sent() == [b"INFO STREAMS"]
    text = b"<seedlink>" + b"x" * 2000 + b"</seedlink>"
    play.say(info_v3(text))
    assert play.taken() == [InfoReceived(InfoItem.STREAMS, text)]
    play.client.send_info(InfoItem.ALL)
    play.say(info_v3(b"", "ERR"))
    assert play.taken() == [InfoReceived(InfoItem.ALL, b"", is_error=True)]


def test_an_answer_comes_between_packets() -> None:
    play = streaming(V3)
    play.client.send_info(InfoItem.ID)
    play.client.send_info(InfoItem.CAPABILITIES)
    assert play.sent() == [b"INFO ID", b"INFO CAPABILITIES"]
    first, last = info_v3(b"x" * 500)[:520], info_v3(b"x" * 500)[520:]
    play.say(first + b"SL000001" + RECORD)
    assert play.client.buffered_bytes == 448
    play.say(last + ERROR)
    assert play.taken() == [
        DataPacket("XX_AAA", 1, RECORD),
        InfoReceived(InfoItem.ID, b"x" * 500),
        InfoRefused(InfoItem.CAPABILITIES, "ERROR"),
    ]


def test_version_4_takes_patterns() -> None:
    play = ready(V4)
    play.client.send_info(InfoItem.STREAMS, "XX_*", "00_*")
    play.client.send_info(InfoItem.FORMATS)
    assert play.sent() == [b"INFO STREAMS XX_* 00_*", b"INFO FORMATS"]
    play.say(v4_packet(0, "", json.dumps({}).encode(), "JI") + v4_packet(0, "", b"{}", "JE"))
    assert play.taken() == [InfoReceived(InfoItem.STREAMS, b"{}"), InfoReceived(InfoItem.FORMATS, b"{}", True)]


def test_answers_and_replies_keep_their_order() -> None:
    play = ready(V4)
    play.client.send_info(InfoItem.ID)
    play.client.send_requests([BBB])
    assert play.sent() == [b"INFO ID", b"STATION XX_BBB", b"DATA"]
    assert play.say(v4_packet(0, "", b"{}", "JI") + OK * 2) == [b"END"]
    assert play.taken() == [InfoReceived(InfoItem.ID, b"{}"), Streaming()]


@pytest.mark.parametrize(
    ("version", "item", "patterns"),
    [
        (V3, InfoItem.FORMATS, ()),
        (V4, InfoItem.GAPS, ()),
        (V3, InfoItem.STREAMS, ("XX_*",)),
        (V4, InfoItem.STREAMS, ("", "00_*")),
    ],
)
def test_what_the_version_cannot_ask_is_refused(
    version: SeedLinkVersion, item: InfoItem, patterns: Sequence[str]
) -> None:
    play = ready(version)
    with pytest.raises(LocalProtocolError):
        play.client.send_info(item, *patterns)
    assert play.sent() == []


def test_a_server_that_never_answers_is_asked_again_and_again() -> None:
    play = streaming(V3)
    for _ in range(MAX_UNANSWERED + 5):
        play.client.send_info(InfoItem.STREAMS)
    play.client.send_info(InfoItem.ID)
    assert len(play.sent()) == MAX_UNANSWERED + 6
    for _ in range(MAX_UNANSWERED + 1):
        play.say(info_v3(b"x"))
    items = [event.item for event in play.taken() if isinstance(event, InfoReceived)]
    assert items == [InfoItem.STREAMS] * (MAX_UNANSWERED - 1) + [InfoItem.ID, None]


def test_an_answer_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4, "MAX_INFO_BYTES", 448 * 1000)
    play = streaming(V3)
    part = info_v3(b"x" * 500)[:520] * 100
    for _ in range(10):
        play.say(part)
    with pytest.raises(PayloadTooLarge, match=r"an answer to INFO of .* limit is 448000"):
        play.say(part)
