"""Set-ups that are broken, one thing each: the doctor crosses that thing, and only that, and says what to do."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rawdaq.config import ComponentSettings, DaemonSettings, PublisherSettings, ReceiverSettings, StationSettings
from rawdaq.control.doctor.case import Case
from rawdaq.control.doctor.diagnosis import diagnose, is_well
from rawdaq.control.doctor.finding import Check, Verdict
from rawdaq.control.doctor.probe import Probe
from rawdaq.times import NS_PER_S
from tests.control.real_rows import real_row

NOW_NS = 1_795_219_200 * NS_PER_S
SETTINGS = ComponentSettings(
    "Raw",
    StationSettings(network="XX", code="A"),
    ReceiverSettings("RawReceiver", {"host": "192.0.2.7", "port": 65535, "channels": {1: "HHZ", 2: "HHN"}}),
    (PublisherSettings("live", "ZMQTCPPublisher", {}), PublisherSettings("archive", "MiniSeedPublisher", {})),
    DaemonSettings(),
    Path("/etc/rawdaq/XX.A.yaml"),
)
STREAM: dict[str, Any] = {"packets": 50, "latency_s": 0.1, "latency_limit_s": 60.0, "timing_quality": 100}
WELL: dict[str, Any] = {
    "component": "XX.A.Raw",
    "state": "running",
    "pid": 5,
    "uptime_s": 60.0,
    "file": "/etc/rawdaq/XX.A.yaml",
    "receiver": {
        "endpoints": [{"address": "192.0.2.7:65535", "connected": True, "held": []}],
        "version": "2.0",
        "channels": {"1": {"rate_hz": 100.0}, "2": {"rate_hz": 100.0}},
        "packet_problems": {},
    },
    "publishers": {
        "live": {"state": "running", "delivered": 50, "address": "tcp://0.0.0.0:9004", "subscribers": [{"dropped": 0}]},
        "archive": {"state": "running", "delivered": 50},
        "server": {"state": "running", "delivered": 50, "connected": True, "url": "datalink://h", "server": "ring 1"},
    },
    "journal": None,
    "streams": {"XX.A..HHZ": STREAM, "XX.A..HHN": STREAM},
    "disks": {"archive": {"path": "/a", "free_bytes": 50, "size_bytes": 100, "left_s": None}},
}
STOPPED: dict[str, Any] = {"component": "XX.A.Raw", "state": "stopped", "file": "/etc/rawdaq/XX.A.yaml"}
GOOD_DEVICE = Probe("192.0.2.7:65535", version="2.0", described=[1, 2])
NEVER_WRONG = (Check.PROCESS, "it does not run")  # of what is stopped


def changed(*path: Any, value: Any) -> dict[str, Any]:
    """Return a well row in which one value is another."""
    row = copy.deepcopy(WELL)
    place = row
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return row


def stopped(**more: Any) -> Case:
    return replace(Case("A/Raw", STOPPED, SETTINGS, NOW_NS, device=GOOD_DEVICE), **more)


def wrong(case: Case) -> list[tuple[Check, str, str]]:
    return [
        (finding.check, finding.text, finding.remedy)
        for finding in diagnose(case)
        if finding.verdict is Verdict.WRONG and (finding.check, finding.text) != NEVER_WRONG
    ]


def of(row: dict[str, Any]) -> Case:
    return Case("A/Raw", row, SETTINGS, NOW_NS)


def endpoint(**more: Any) -> Case:
    return of(changed("receiver", "endpoints", 0, value={"address": "192.0.2.7:65535", "held": [], **more}))


def stream(**more: Any) -> Case:
    return of(changed("streams", "XX.A..HHZ", value=STREAM | more))


def publisher(name: str, **more: Any) -> Case:
    return of(changed("publishers", name, value=WELL["publishers"][name] | more))


BROKEN: list[tuple[Case, Check, str, str]] = [
    (replace(of(WELL), mistakes=["XX.A.yaml:5: port: is wrong"]), Check.CONFIGURATION, "XX.A.yaml:5: port", "check"),
    (
        replace(of(WELL), settings=None, mistakes=["XX.A.yaml:5: port: is wrong"]),  # of the file that it runs from
        Check.CONFIGURATION,
        "XX.A.yaml:5: port",
        "check",
    ),
    (replace(of(WELL), settings=None), Check.CONFIGURATION, "no valid station file describes it", "name that with -c"),
    (
        stopped(folders={"archive": "/a: user 5 may not write"}),
        Check.PERMISSIONS,
        "archive cannot write: /a: ",
        "mount",
    ),
    (of({**WELL, "state": "dead", "error": "it ended without tidying up"}), Check.PROCESS, "tidying", "start A/Raw"),
    (of({**WELL, "state": "failed", "error": "the port is taken"}), Check.PROCESS, "the port is taken", "logs A/Raw"),
    (of({**WELL, "state": "paused"}), Check.PROCESS, "paused by command", "send A/Raw resume"),
    (of({**WELL, "state": "hung", "error": "no answer in 5 s"}), Check.COMMANDS, "no answer", "restart A/Raw"),
    (replace(of(WELL), socket_missing=True), Check.COMMANDS, "command socket was removed", "comes back by itself"),
    (endpoint(connected=False, last_failure="it is off"), Check.DEVICE, "65535 is not connected: it is off", "cable"),
    (endpoint(datagrams=0), Check.DEVICE, "no datagram has come to 192.0.2.7:65535", "firewall"),
    (endpoint(datagrams=5, kernel_drops=3), Check.DEVICE, "the system has dropped 3 datagrams", "net.core.rmem_max"),
    (
        stopped(device=Probe("192.0.2.7:65535", unreachable="no route to it")),
        Check.DEVICE,
        "192.0.2.7:65535 cannot be reached: no route to it",
        "",
    ),
    (stopped(taken={"receiver": "cannot listen on UDP"}), Check.DEVICE, "receiver cannot listen on UDP", ""),
    (of(changed("receiver", "version", value=None)), Check.HANDSHAKE, "has not said yet which version", "`version`"),
    (
        stopped(device=Probe("h:1", failure="the device was asked for RAW 1.0 and answered 'HTTP'")),
        Check.HANDSHAKE,
        "h:1: the device was asked for RAW 1.0 and answered 'HTTP'",
        "is this the port of the device",
    ),
    (
        of(changed("receiver", value=WELL["receiver"] | {"refused": 7, "refused_by_reason": {"too short": 7}})),
        Check.HANDSHAKE,
        "7 datagrams or messages were refused: 7 too short",
        "refused_by_sender",
    ),
    (
        of(changed("receiver", "channels", value={"1": {}})),
        Check.CHANNELS,
        "the device has not described channel 2",
        "compare `channels`",
    ),
    (
        stopped(device=Probe("h:1", version="2.0", described=[1], failure="the device does not know it")),
        Check.CHANNELS,
        "channel 2: the device does not know it",
        "compare `channels`",
    ),
    (
        of(changed("receiver", "packet_problems", value={"1": {"impossible time": 4}})),
        Check.CHANNELS,
        "channel 1: 4 impossible time packets",
        "see the log",
    ),
    (stream(silent_s=20.0), Check.DATA, "XX.A..HHZ silent for 20.0 s", "is the device on"),
    (stream(packets=0), Check.DATA, "XX.A..HHZ have not come yet", "is the channel recording"),
    (of(changed("streams", value={})), Check.DATA, "no stream has come since it started 60 s ago", "what the receiver"),
    (stream(rate_mismatches=2, gaps_last_hour=3), Check.DATA, "another rate than it says (2 times)", "sampling rate"),
    (stream(clock="latency -4576.7 s: clocks differ"), Check.CLOCK, "latency -4576.7 s", "set the clocks"),
    (stream(latency_s=90.0), Check.CLOCK, "XX.A..HHZ late: 1 min 30 s", "the link is too slow"),
    (stream(timing_quality=10), Check.CLOCK, "clock quality 10 %", "GPS"),
    (replace(of(WELL), now_ns=5 * NS_PER_S), Check.CLOCK, "the clock of this machine is not set", "chrony"),
    (
        of(changed("journal", value={"path": "/j", "is_taking_nothing": True})),
        Check.JOURNAL,
        "the journal /j takes nothing",
        "",
    ),
    (of(changed("disks", "archive", "left_s", value=60)), Check.DISK, "is full in 1 min 0 s", "remove old files"),
    (publisher("archive", problem="no file is safe"), Check.DISK, "archive: no file is safe", ""),
    (
        publisher("archive", state="paused", paused_reason="the disk is full", paused_s=90.0),
        Check.PUBLISHERS,
        "archive is paused: the disk is full (for 1 min 30 s)",
        "send A/Raw retry",
    ),
    (
        publisher("live", dropping=True, policy="drop_oldest", dropped=5),
        Check.PUBLISHERS,
        "drops data",
        "a journal keeps",
    ),
    (publisher("archive", dropped=5), Check.PUBLISHERS, "archive has dropped 5 packets", "a journal keeps"),
    (publisher("archive", refused=5), Check.PUBLISHERS, "archive has refused 5 packets", "names, types or rates"),
    (publisher("archive", delivered=0), Check.PUBLISHERS, "archive has delivered nothing of 100 packets", "`streams`"),
    (of(changed("publishers", value={})), Check.PUBLISHERS, "what is received goes nowhere", "add `Publishers`"),
    (stopped(taken={"live": "cannot listen on TCP"}), Check.PUBLISHERS, "live cannot listen on TCP", ""),
    (
        publisher("server", connected=False, last_failure="nothing listens there"),
        Check.PEERS,
        "server is not connected to datalink://h: nothing listens there",
        "",
    ),
    (
        publisher("server", connected=False),
        Check.PEERS,
        "server is not connected to datalink://h yet",
        "is that server",
    ),
    (
        publisher("live", subscribers=[{"address": "a:5", "dropped": 9}]),
        Check.SUBSCRIBERS,
        "live: a:5 has lost 9 packets",
        "too slow",
    ),
    (
        publisher("live", turned_away={"too many": 3}),
        Check.SUBSCRIBERS,
        "live has turned away 3 connections: too many",
        "see the log",
    ),
]


@pytest.mark.parametrize(("case", "check", "text", "remedy"), BROKEN)
def test_what_is_broken_is_crossed_and_nothing_else(case: Case, check: Check, text: str, remedy: str) -> None:
    found = wrong(case)
    assert [each[0] for each in found] == [check], found
    assert text in found[0][1]
    assert remedy in found[0][2]
    assert not is_well(diagnose(case))


def test_there_are_more_than_twenty_four_ways_to_break_it_and_each_check_has_one() -> None:
    assert len(BROKEN) >= 24
    assert {check for _, check, _, _ in BROKEN} == set(Check)


def test_what_is_well_has_a_tick_at_each_check() -> None:
    findings = diagnose(replace(of(WELL), changed_ns=NOW_NS - 61 * NS_PER_S))  # before it started
    assert is_well(findings)
    assert [finding.check for finding in findings if finding.verdict is Verdict.GOOD] == list(Check)
    assert "live: 1 reader" in [finding.text for finding in findings]


def test_a_file_that_was_changed_and_read_again_is_not_mentioned() -> None:
    case = replace(of({**WELL, "settings_age_s": 5.0}), changed_ns=NOW_NS - 6 * NS_PER_S)
    assert not [finding for finding in diagnose(case) if "was changed" in finding.text]


def test_a_device_that_is_away_proves_nothing_by_what_it_said_before() -> None:
    verdicts = {finding.check: finding.verdict for finding in diagnose(endpoint(connected=False, last_failure="off"))}
    assert verdicts[Check.DEVICE] is Verdict.WRONG
    for check in (Check.HANDSHAKE, Check.CHANNELS, Check.DATA):
        assert verdicts[check] is Verdict.UNKNOWN


def test_what_does_not_run_has_dashes_where_nothing_can_be_seen() -> None:
    verdicts: dict[Check, set[Verdict]] = {}
    for finding in diagnose(stopped()):
        verdicts.setdefault(finding.check, set()).add(finding.verdict)
    assert verdicts.keys() == set(Check)
    assert {check for check, found in verdicts.items() if found == {Verdict.GOOD}} == {
        Check.CONFIGURATION,
        Check.PERMISSIONS,
        Check.DEVICE,
        Check.HANDSHAKE,
        Check.CHANNELS,
    }


@pytest.mark.parametrize(
    ("change", "check", "text"),
    [
        (
            lambda: publisher("live", subscribers=[], address="tcp://127.0.0.1:9"),
            Check.SUBSCRIBERS,
            "only this machine",
        ),
        (lambda: of(changed("receiver", "messages", value=5) | {"streams": {}}), Check.DATA, "it publishes no streams"),
        (lambda: of({**WELL, "class": "LogReceiver", "streams": {}}), Check.DATA, "it publishes no streams"),
        (
            lambda: replace(of(WELL), changed_ns=NOW_NS - 59 * NS_PER_S),
            Check.CONFIGURATION,
            "the file was changed 59.0 s ago, after it was read",
        ),
        (
            lambda: replace(of({**WELL, "settings_age_s": 5.0}), changed_ns=NOW_NS - 4 * NS_PER_S),
            Check.CONFIGURATION,
            "the file was changed 4.0 s ago, after it was read",
        ),
        (lambda: replace(of(WELL), settings=None, is_foreign=True), Check.CONFIGURATION, "name it with -c"),
        (lambda: replace(of({**WELL, "file": "the command line"}), settings=None), Check.CONFIGURATION, "it runs from"),
    ],
)
def test_what_only_looks_odd_is_said_without_a_cross(change: Callable[[], Case], check: Check, text: str) -> None:
    findings = diagnose(change())
    assert is_well(findings)
    assert any(text in finding.text for finding in findings if finding.check is check)


async def test_a_real_component_is_judged_by_what_it_answers(tmp_path: Path) -> None:
    row = await real_row(tmp_path)
    found = wrong(Case("DEMO/Idle", row, SETTINGS, NOW_NS))
    texts = [text for _, text, _ in found]
    assert any("127.0.0.1:1 is not connected: nothing listens there" in text for text in texts)
    assert any(text.startswith("no datagram has come to 127.0.0.1:") for text in texts)
    assert any("clock quality 40 %" in text for text in texts)
    assert {check for check, _, _ in found} == {Check.DEVICE, Check.CLOCK}
