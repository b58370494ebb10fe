"""SeedLink from a ring, as strict clients of both versions see it."""

import json
import logging
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rawdaq.errors import RawdaqError
from rawdaq.miniseed.reader import read_record
from rawdaq.ring.packets import RingPacket
from rawdaq.ring.server.unconverted import Unconverted
from tests.helpers import until
from tests.ring.records import STREAMS, name, packet, packets, record, start_ns
from tests.ring.rings import feed, ring, serving
from tests.ring.seedlink_wire import seedlink, wanting


def port(publisher: object) -> int:
    return int(publisher.service.ports["seedlink"])  # type: ignore[attr-defined]


async def test_live_records_come_at_once_byte_for_byte_in_both_versions(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        async with seedlink(port(publisher)) as three, seedlink(port(publisher), 4) as four:
            await wanting(three, "STATION AAA XX", "SELECT 00HHZ", "DATA")
            await wanting(four, "STATION XX_AAA", "SELECT 00_H_H_Z", "DATA", "STATION YY_*", "DATA")
            await until(lambda: publisher.status()["streaming_count"] == 2)
            first = publisher.service.ring.reader.end
            await feed(publisher, packets(0, 8))
            old, new = await three.records(2), await four.records(4)
            assert [each.number for each in old] == [0, 4]
            assert [each.number for each in new] == [0, 3, 4, 7]
            assert [each.sequence for each in new] == [first, first + 3, first + 4, first + 7]
            assert [each.sequence for each in old] == [first % (1 << 24), (first + 4) % (1 << 24)]
            assert {(each.station, each.format) for each in new} == {("XX_AAA", "2D"), ("YY_CCC", "2D")}


async def test_uni_station_mode_gives_everything_and_no_ok(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, packets(0, 4))
        async with seedlink(port(publisher)) as wire:
            assert await wire.ask("SELECT HHZ") == "OK"
            wire.send("DATA 0")
            assert await wire.numbers(2) == [0, 2]


async def test_each_station_goes_on_at_its_own_place_and_a_pattern_leaves_out_named_ones(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        await feed(publisher, packets(0, 20))
        async with seedlink(port(publisher), 4) as wire:
            lines = [f"STATION XX_AAA\rSELECT 00_H_H_Z\rDATA {first + 4}", f"STATION XX_BBB\rDATA {first + 10}"]
            lines.append("STATION *\rDATA ALL")
            wire.send(*lines, end="\r")
            assert [await wire.line() for _ in range(7)] == ["OK"] * 7
            wire.send("END")
            expected = [n for n in range(20) if (n % 4 == 0 and n >= 4) or (n % 4 == 2 and n >= 10) or n % 4 == 3]
            assert await wire.numbers(len(expected)) == expected
            await feed(publisher, packets(20, 4))
            assert await wire.numbers(3) == [20, 22, 23]


@pytest.mark.parametrize("version", [3, 4])
async def test_positions_at_the_edges(tmp_path: Path, version: int) -> None:
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(10)])
        station = "STATION AAA XX" if version == 3 else "STATION XX_AAA"

        def text(position: int) -> str:
            return f"{position % (1 << 24):06x}" if version == 3 else str(position)

        cases = [(first - 1000, 0), (first, 0), (first + 3, 3), (first + 9, 9), (first + 10, 10), (first + 5000, 10)]
        for position, expected in cases:
            async with seedlink(port(publisher), version) as wire:
                await wanting(wire, station, f"DATA {text(position)}")
                if expected == 10:
                    before = publisher.service.ring.reader.end - first
                    await until(lambda: publisher.status()["streaming_count"])
                    await feed(publisher, [packet(before, STREAMS[0])])
                    expected = before
                got = await wire.packet()
                assert got.number == expected, position
            await until(lambda: not publisher.status()["client_count"])


async def test_a_number_of_version_3_is_the_newest_with_its_24_bits_also_across_their_end(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        wrap = (publisher.service.ring.reader.end // (1 << 24) + 1) << 24
        await feed(publisher, [packet(0, STREAMS[0])._replace(number=wrap - 3)])
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(1, 6)])
        for asked, expected in (("FFFFFE", 1), ("0xFFFFFF", 2), ("000000", 3), ("0x1000001", 4)):
            async with seedlink(port(publisher)) as wire:
                await wanting(wire, "STATION AAA XX", f"DATA {asked}")
                got = await wire.packet()
                assert (got.number, got.sequence) == (expected, (wrap - 3 + expected) % (1 << 24))


async def test_the_time_of_the_last_packet_tells_that_a_number_is_another_servers(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(20)])
        for when, expected in (("2026,11,21,00,00,04", 5), ("2026,11,21,00,00,12", 12)):
            async with seedlink(port(publisher)) as wire:
                await wanting(wire, "STATION AAA XX", f"DATA {(first + 5) % (1 << 24):06X} {when}")
                assert (await wire.packet()).number == expected


async def test_dial_up_and_time_windows_end_with_end(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        await feed(publisher, packets(0, 40))
        async with seedlink(port(publisher)) as wire:
            await wanting(wire, "STATION AAA XX", "SELECT HHZ", f"FETCH {(first + 30) % (1 << 24):06X}")
            assert [each.number for each in await wire.until_end()] == [32, 36]
            assert "CAPABILITIES" not in await wire.info_3("ID")  # it may still ask
        async with seedlink(port(publisher)) as wire:
            await wanting(wire, "STATION AAA XX", "FETCH")
            assert await wire.until_end() == []
        async with seedlink(port(publisher), 4) as wire:
            await wire.ok("STATION XX_BBB", f"DATA {first + 20}")
            wire.send("ENDFETCH")
            assert [each.number for each in await wire.until_end()] == [22, 26, 30, 34, 38]
        async with seedlink(port(publisher)) as wire:
            await wanting(wire, "STATION AAA XX", "SELECT 00HHZ", "TIME 2026,11,21,0,0,10 2026,11,21,0,0,20")
            assert [each.number for each in await wire.until_end()] == [12, 16]
        async with seedlink(port(publisher), 4) as wire:
            window = "2026-11-21T00:00:08.5Z 2026-11-21T00:00:16.0Z"
            await wanting(wire, "STATION XX_AAA", "SELECT 00_H_H_Z", f"DATA ALL {window}")
            assert [each.number for each in await wire.until_end()] == [8, 12]


async def test_a_window_ends_when_data_have_passed_it_or_are_late(tmp_path: Path) -> None:
    clock = [start_ns(15)]
    async with serving(tmp_path / "ring") as publisher:
        publisher.service._serving.clock = lambda: clock[0]  # type: ignore[union-attr]
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(10)])
        async with seedlink(port(publisher)) as passed, seedlink(port(publisher)) as late:
            await wanting(passed, "STATION AAA XX", "TIME 2026,11,21,0,0,8 2026,11,21,0,0,12")
            await wanting(late, "STATION AAA XX", "TIME 2026,11,21,0,0,8 2026,11,21,0,0,20")
            assert await passed.numbers(2) == await late.numbers(2) == [8, 9]
            await feed(publisher, [packet(number, STREAMS[0]) for number in range(10, 14)])
            assert [each.number for each in await passed.until_end()] == [10, 11]
            clock[0] = start_ns(31)
            assert [each.number for each in await late.until_end()] == [10, 11, 12, 13]


async def test_a_window_of_a_station_that_is_not_there_ends_when_it_is_over(tmp_path: Path) -> None:
    clock = [start_ns(10)]
    async with serving(tmp_path / "ring") as publisher:
        publisher.service._serving.clock = lambda: clock[0]  # type: ignore[union-attr]
        await feed(publisher, packets(0, 4))
        async with seedlink(port(publisher)) as over, seedlink(port(publisher)) as to_come:
            await wanting(over, "STATION NONE ZZ", "TIME 2026,11,21,0,0,1 2026,11,21,0,0,5")
            assert await over.until_end() == []
            await wanting(to_come, "STATION NONE ZZ", "TIME 2026,11,21,0,0,8 2026,11,21,0,0,20")
            await until(lambda: publisher.status()["streaming_count"] == 1)
            await feed(publisher, [packet(12, ("ZZ", "NONE", "", "HHZ"))])
            assert await to_come.numbers(1) == [12]
            clock[0] = start_ns(21)
            assert await to_come.until_end() == []


async def test_records_of_other_versions_and_lengths_reach_only_those_who_read_them(tmp_path: Path) -> None:
    other = packet(0, STREAMS[0])._replace(data=record(0, STREAMS[0], 256))
    broken = packet(1, STREAMS[0])._replace(data=b"no record")
    text = packet(1, STREAMS[0])._replace(name="FDSN:XX_AAA_00_H_H_Z/JSON", data=b"{}")
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, [other, broken, text, packet(2, STREAMS[0])])
        async with seedlink(port(publisher)) as three, seedlink(port(publisher), 4) as four:
            await wanting(three, "STATION AAA XX", "DATA 0")
            await wanting(four, "STATION XX_AAA", "DATA 0")
            assert await three.numbers(1) == [2]
            assert [each.number for each in await four.records(2)] == [0, 2]


async def test_filter_3_converts_and_a_format_excludes(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, [packet(number, STREAMS[0]) for number in range(3)])
        async with seedlink(port(publisher), 4) as wire:
            await wanting(wire, "STATION XX_AAA", "SELECT 00_H_H_Z:3", "DATA ALL")
            got = await wire.records(3)
            assert {each.format for each in got} == {"3D"}
            for number, each in enumerate(got):
                info, content = read_record(each.data)
                assert info.start_ns == start_ns(number)
                assert content.samples is not None
                assert content.samples.tolist() == list(range(number * 100, number * 100 + 100))
        async with seedlink(port(publisher), 4) as wire:
            await wanting(wire, "STATION XX_AAA", "SELECT *.3D", "DATA ALL")
            assert "station" not in await wire.info_4("ID")  # no packet came before the answer


async def test_records_that_cannot_be_converted_are_logged_once_and_then_their_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(tmp_path / "ring") as publisher:
        first = publisher.service.ring.reader.end
        good = [packet(number, STREAMS[0]) for number in range(6)]
        await feed(publisher, [good[0], *(each._replace(data=_damaged(each.data)) for each in good[1:5]), good[5]])
        async with seedlink(port(publisher), 4) as wire, seedlink(port(publisher), 4) as other:
            await wanting(wire, "STATION XX_AAA", "SELECT 00_H_H_Z:3", "DATA ALL")
            assert [each.sequence for each in await wire.records(2)] == [first, first + 5]
            await wanting(other, "STATION XX_AAA", "DATA ALL")
            assert len(await other.records(6)) == 6
    logged = [message for message in caplog.messages if "miniSEED 3" in message]
    assert logged[0].startswith(f"packet {first + 1} of {name(STREAMS[0])} cannot be converted to miniSEED 3, and does")
    assert logged[1].startswith("could not be converted to miniSEED 3 either: 3 packets in ")
    assert len(logged) == 2


def _damaged(data: bytes) -> bytes:
    """Return a record that says that its samples are doubles, for which it has no room."""
    return data[:52] + b"\5" + data[53:]


def test_what_cannot_be_converted_is_two_lines_a_minute_at_most(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    unconverted = Unconverted(logging.getLogger("rawdaq.ring"), "miniSEED 3", lambda: now_s[0])
    odd, error = RingPacket(7, name(STREAMS[0]), 0, 0, 0, b""), RawdaqError("no")
    for second in range(122):
        now_s[0] = float(second)
        for _ in range(10):
            unconverted.note(odd, error)
        unconverted.check()
    assert ["packet 7" in each for each in caplog.messages] == [True, False] * 2
    assert f"either: 609 packets in 60.0 s ({name(STREAMS[0])}: 609)" in caplog.messages[1]
    now_s[0] = 300.0
    unconverted.check()
    caplog.clear()
    unconverted.note(odd, error)
    now_s[0] = 400.0
    unconverted.check()
    unconverted.check(at_once=True)
    assert len(caplog.messages) == 1, "one alone has no extent"


async def test_info_of_both_versions_says_what_is_held_at_any_time(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", organization="Testing <&>") as publisher:
        first = publisher.service.ring.reader.end
        await feed(publisher, packets(0, 8))
        async with seedlink(port(publisher)) as wire:
            root = ET.fromstring(await wire.info_3("STREAMS"))
            assert root.get("organization") == "Testing <&>"
            stations = {station.get("name"): station for station in root}
            assert list(stations) == ["AAA", "BBB", "CCC"]
            aaa = stations["AAA"]
            assert (aaa.get("network"), aaa.get("begin_seq")) == ("XX", f"{first % (1 << 24):06X}")
            assert aaa.get("end_seq") == f"{(first + 6) % (1 << 24):06X}"
            streams = [tuple(each.get(key) for key in ("location", "seedname", "type")) for each in aaa]
            assert streams == [("00", "HHN", "D"), ("00", "HHZ", "D")]
            assert aaa[1].get("begin_time") == "2026-11-21T00:00:00.000000Z"
            assert aaa[1].get("end_time") == "2026-11-21T00:00:04.990000Z"
            gaps = ET.fromstring(await wire.info_3("GAPS"))
            assert len(gaps.findall("station/stream/gap")) == 4  # a record in four seconds
            await wanting(wire, "STATION CCC YY", "DATA 0")
            assert await wire.numbers(2) == [3, 7]
            own = ET.fromstring(await wire.info_3("CONNECTIONS")).find("station/connection")
            assert own is not None
            assert (own.get("txcount"), own.get("current_seq")) == ("2", f"{(first + 7) % (1 << 24):06X}")
        async with seedlink(port(publisher), 4) as wire:
            answer = await wire.info_4("STREAMS XX_AAA 00_H_H_Z")
            assert answer["station"] == [
                {
                    "id": "XX_AAA",
                    "description": "Station ID XX_AAA",
                    "start_seq": first,
                    "end_seq": first + 6,
                    "stream": [
                        {
                            "id": "00_H_H_Z",
                            "format": "2",
                            "subformat": "D",
                            "start_time": "2026-11-21T00:00:00.000000Z",
                            "end_time": "2026-11-21T00:00:04.990000Z",
                        }
                    ],
                }
            ]
            assert (await wire.info_4("CONNECTIONS"))["connections"]["client_count"] >= 1


async def test_clients_of_strangers_are_nobodys_business(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring", trusted=["192.0.2.1"]) as publisher, seedlink(port(publisher), 4) as wire:
        wire.send("INFO CONNECTIONS")
        got = await wire.packet()
        assert got.format == "JE"
        assert json.loads(got.data)["error"]["code"] == "UNAUTHORIZED"


async def test_commands_behind_a_question_are_answered_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path / "ring") as publisher:
        await feed(publisher, packets(0, 4))
        async with seedlink(port(publisher), 4) as wire:
            wire.send("INFO STATIONS", "STATION XX_AAA", "INFO STREAMS", "DATA ALL", "END")
            assert (await wire.packet()).kind == "info"
            assert await wire.line() == "OK"
            assert (await wire.packet()).kind == "info"
            assert await wire.line() == "OK"
            assert await wire.numbers(2) == [0, 1]


async def test_what_an_earlier_run_has_stored_is_served_and_numbers_go_on(tmp_path: Path) -> None:
    async with ring(tmp_path / "ring") as one:
        await one.append(packets(0, 1000))
        first = one.reader.oldest
    async with serving(tmp_path / "ring") as publisher, seedlink(port(publisher), 4) as wire:
        await wanting(wire, "STATION XX_*", "SELECT *_H_H_Z", f"DATA {first + 500}")
        assert await wire.numbers(250) == [number for number in range(500, 1000) if number % 2 == 0]
        await feed(publisher, packets(1000, 3))
        got = await wire.records(2)
        assert [(each.number, each.sequence) for each in got] == [(1000, first + 1000), (1002, first + 1002)]
    assert name(STREAMS[0]) == "FDSN:XX_AAA_00_H_H_Z/MSEED"
