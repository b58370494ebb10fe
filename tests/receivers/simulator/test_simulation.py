"""A plan gives messages at their time, with the values, numbers and times that it says."""

from typing import Any

import pytest

from rawdaq.errors import RawdaqError
from rawdaq.events.settings import LayoutSettings
from rawdaq.protocols import nmea
from rawdaq.receivers.simulator.faults import Fault
from rawdaq.receivers.simulator.makers import maker_of
from rawdaq.receivers.simulator.plan import SourceSettings
from rawdaq.receivers.simulator.simulation import Outgoing, Simulation
from rawdaq.streams.assembly.formats import make_format
from rawdaq.times import NS_PER_S

START_NS = 1_795_219_200 * NS_PER_S
RAW = {"raw": {"samples": 2, "channels": [1, 2]}}


def source(**given: Any) -> SourceSettings:
    given = {"kind": "readouts", "to": "127.0.0.1:17000", "format": RAW, "senders": 3} | given
    given |= {} if "first_address" in given else {"first_address": "127.0.1.1"}
    return SourceSettings.model_validate(given)


def played(settings: SourceSettings, *faults: Fault, end_s: float = 1.0, step_s: float = 0.1) -> list[Outgoing]:
    simulation = Simulation({"s": settings}, faults, 7, round(end_s * NS_PER_S))
    simulation.begin(START_NS)
    found: list[Outgoing] = []
    elapsed_ns = 0
    while simulation.next_ns is not None:
        found += simulation.take(elapsed_ns)
        elapsed_ns += round(step_s * NS_PER_S)
    return found + simulation.rest(elapsed_ns)


def sections(message: Outgoing) -> list[tuple[int, list[int], int]]:
    chosen = make_format(RAW)
    return [
        (each.time_ns, list(memoryview(each.data).cast("i")), each.number) for each in chosen.sections(message.data)
    ]


def test_readouts_have_the_values_of_the_formula_and_times_of_the_rate() -> None:
    messages = played(source(rate_hz=10, values="slot * 1000 + channel * 100 + number * 10 + sample"))
    assert len(messages) == 3 * 10
    assert [(each.slot, each.at_ns) for each in messages[3:6]] == [(slot, NS_PER_S // 10) for slot in range(3)]
    assert sections(messages[4]) == [
        (START_NS + NS_PER_S // 10, [1010, 1011], 0),
        (START_NS + NS_PER_S // 10, [1110, 1111], 1),
    ]


def test_several_readouts_a_packet_leave_when_the_last_is_measured() -> None:
    messages = played(source(rate_hz=10, per_packet=5, senders=1, values="number"))
    assert [each.at_ns for each in messages] == [4 * NS_PER_S // 10, 9 * NS_PER_S // 10]
    assert [values[0] for _, values, number in sections(messages[1]) if not number] == [5, 6, 7, 8, 9]


def test_senders_of_one_address_tell_themselves_apart_by_the_number() -> None:
    settings = source(first_address=None, senders=2, values="slot")
    assert [sections(each)[0][1:] for each in played(settings, end_s=0.1)] == [([0, 0], 0), ([1, 1], 1)]


@pytest.mark.parametrize("step_s", [0.001, 0.05, 3.0])
def test_the_pace_changes_nothing(step_s: float) -> None:
    faults = [Fault(loss=0.2, duplicate=0.2, reorder=0.2, jitter_s=0.3), Fault(at_s=0.5, clock_step_s=-3, slot=1)]
    usual = played(source(values="walk"), *faults, end_s=2)
    assert played(source(values="walk"), *faults, end_s=2, step_s=step_s) == usual
    assert [each.at_ns for each in usual] == sorted(each.at_ns for each in usual)


@pytest.mark.parametrize("values", ["walk", "noise", "sine"])
def test_made_up_values_differ_between_senders_and_move(values: str) -> None:
    messages = played(source(values=values, senders=2))
    rows = [tuple(sections(each)[0][1]) for each in messages]
    assert len(set(rows)) > len(rows) * 0.8


def test_a_frozen_sender_goes_on_with_its_number() -> None:
    messages = played(source(senders=2, values="number"), Fault(at_s=0.3, for_s=0.2, freeze=1))
    found = {slot: [sections(each)[0][1][0] for each in messages if each.slot == slot] for slot in (0, 1)}
    assert found == {0: list(range(10)), 1: [0, 1, 2, 5, 6, 7, 8, 9]}


def test_a_clock_from_zero_and_a_reset() -> None:
    messages = played(source(senders=2, origin="zero"), Fault(at_s=0.5, clock_reset=True, slot=0))
    times = {slot: [sections(each)[0][0] for each in messages if each.slot == slot] for slot in (0, 1)}
    tenth = NS_PER_S // 10
    assert times == {0: [*range(0, 5 * tenth, tenth)] * 2, 1: [*range(0, NS_PER_S, tenth)]}


def test_the_rate_changes_from_the_next_message_on() -> None:
    simulation = Simulation({"s": source(senders=1, values="number")}, (), 7, NS_PER_S)
    found = list(simulation.take(NS_PER_S // 4))
    simulation.sources["s"].set_rate(20)
    found += simulation.take(NS_PER_S)
    assert [each.at_ns // 10_000_000 for each in found] == [0, 10, 20, *range(30, 100, 5)]


def test_a_pause_shifts_what_follows() -> None:
    simulation = Simulation({"s": source(senders=1, values="number")}, (), 7, NS_PER_S)
    found = list(simulation.take(0))
    simulation.sources["s"].skip_to(NS_PER_S // 2)
    found += simulation.take(NS_PER_S)
    assert [(each.at_ns // 10_000_000, sections(each)[0][1][0]) for each in found][:3] == [(0, 0), (50, 1), (60, 2)]


def test_the_truth_says_what_was_sent() -> None:
    simulation = Simulation({"s": source(senders=2)}, [Fault(loss=1.0, slot=1, at_s=0.5)], 7, NS_PER_S)
    assert len(list(simulation.take(NS_PER_S))) == 15
    first, second = simulation.truth()
    assert (first["sent"], first["lost"]) == ("0-9", 0)
    assert (second["sent"], second["lost"], second["source"], second["slot"]) == ("0-4", 5, "s", 1)


LAYOUT = LayoutSettings(
    fields=["magic u16 = 0xCAFE", "n u8", "t u64", "f f32", "bits b16", "text x2", "rest rest"], byte_order="big"
)


def test_events_follow_their_formulas_and_fold_as_counters_do() -> None:
    values = {"n": "number + 250", "t": "time_ns", "f": "slot / 2", "bits": "number", "text": "number"}
    settings = source(kind="events", format="raw", layout=LAYOUT, values=values)
    decode = LAYOUT.layout().decoder(["n", "t", "f", "bits", "text"])
    found = [list(decode(each.data).values()) for each in played(settings)]
    assert found[0] == [250, START_NS, 0.0, [0], "0000"]
    assert found[-1] == [3, START_NS + 9 * NS_PER_S // 10, 1.0, [9], "0009"]


def test_times_are_sentences_that_a_clock_reads() -> None:
    settings = source(kind="times", format="raw", senders=1, rate_hz=4)
    clock = nmea.Clock()
    lines = [line for each in played(settings) for line in each.data.decode().split("\r\n") if line]
    fixes = [fix for line in lines if (fix := clock.read(nmea.parse(line))) is not None]
    assert {fix.time_ns for fix in fixes} == {
        START_NS + each for each in (0, NS_PER_S // 4, NS_PER_S // 2, 3 * NS_PER_S // 4)
    }


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"kind": "events"}, "layout"),
        ({"kind": "logs"}, "`format` belongs"),
        ({"kind": "logs", "format": "raw", "values": "walk"}, "does not belong"),
        ({"values": {"a": "1"}}, "one formula"),
        ({"values": "slot +"}, "not a formula"),
        ({"kind": "events", "format": "raw", "layout": LAYOUT, "values": {"n": "channel"}}, "not understood"),
        ({"to": "nowhere"}, "HOST:PORT"),
        ({"to": "a:99999"}, "HOST:PORT"),
        ({"first_address": "here"}, "here"),
    ],
)
def test_what_does_not_go_together_is_told(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        source(**given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"format": "raw"}, "samples"),
        ({"format": {"raw": {"samples": "x"}}}, "samples"),
        ({"first_address": None}, "senders of one address"),
        ({"kind": "events", "format": "raw", "layout": LAYOUT, "values": {"z": "1"}}, "z"),
    ],
)
def test_what_the_format_does_not_have_is_told(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(RawdaqError, match=reason):
        maker_of(source(**given), "1")
