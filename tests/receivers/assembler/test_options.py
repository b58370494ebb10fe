"""A station file that is wrong is told so in words, with what would be right."""

from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.document import ConfigError
from rawdaq.config.files import load
from rawdaq.errors import InvalidValue
from rawdaq.receivers.assembler import ReadoutAssembler
from rawdaq.receivers.assembler.options import SlotSettings, as_slots, unused_slots
from tests.receivers.assembler.senders import STATION

FILE = """
station: {network: XX, code: ARRAY}
Assembler:
  Receiver:
    class: ReadoutAssembler
    %s
  Publishers:
    live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: 9004}
"""
SLOTS = "slots: {192.0.2.101: 0, '192.0.2.102:9000': 1, '[2001:DB8::7]:9000': 2}"
ALL = "ip: '::'"


def check(folder: Path, *lines: str) -> str:
    """Return what is wrong with a station file that has these options."""
    file = folder / "station.yaml"
    file.write_text(FILE % "\n    ".join(lines))
    try:
        load(file)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_right_file_is_right(tmp_path: Path) -> None:
    assert check(tmp_path, "format: raw", SLOTS, ALL, "window_s: 0.051", "max_wait_s: 0.5", "span_s: null") == ""
    assert check(tmp_path, "format: {raw: {type: int16, channels: [1, 2]}}", "slots: {by: octet, count: 32}") == ""
    assert check(tmp_path, "format: raw", "slots: {127.0.0.1: 0, 192.0.2.101: 1}") == ""
    assert check(tmp_path, "format: raw", SLOTS.replace("[2001:DB8::7]:9000", "[::1]:9000")) == ""
    assert check(tmp_path, "format: raw", "slots: {192.0.2.1: 0}", "endpoints: ['tcp://192.0.2.7:9']") == ""
    assert check(tmp_path, "format: raw", "slots: {by: field, count: 1}", "endpoints: ['tcp://192.0.2.7:9']") == ""


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((SLOTS,), "format: is missing"),
        (("format: raw",), "slots: is missing"),
        (("format: rew", SLOTS), "no readout format is called 'rew'; did you mean 'raw'?"),
        (("format: {raw: {typ: int16}}", SLOTS), "format raw: typ: unknown key; did you mean 'type'?"),
        (("format: {raw: {type: int64}}", SLOTS), "format raw: type: 'int64' is wrong"),
        (("format: {raw: {}, other: {}}", SLOTS), "one format is needed"),
        (("format: {raw: {channels: [1, 1]}}", SLOTS), "a channel is there twice"),
        (("format: {raw: {channels: [70000]}}", SLOTS), "channel 70000 is not in 0-65535"),
        (("format: raw", "slots: {}"), "at least one sender is needed"),
        (("format: raw", "slots: {camera: 0}"), "'camera' is not an address like 192.0.2.101"),
        (("format: raw", "slots: {192.0.2.1: 0, 192.0.2.2: 0}"), "slot 0 has two senders"),
        (("format: raw", "slots: {192.0.2.1: -1}"), "-1 is wrong"),
        (("format: raw", "slots: {by: octet}"), "needs how many there are, such as count: 32"),
        (("format: raw", "slots: {by: octet, first: 250, count: 32}"), "an octet ends at 255"),
        (("format: raw", "slots: {by: field, count: 3, senders: {192.0.2.1: 0}}"), "either senders, or by: field"),
        (("format: raw", "slots: {senders: {192.0.2.1: 0}, count: 3}"), "first and count are for"),
        (("format: raw", "slots: {by: address, octet: 3}"), "unknown key"),
        (("format: raw", SLOTS, "window: 1"), "unknown key; did you mean 'window_s'?"),
        (("format: raw", SLOTS, "duplicates: newest"), "it should be 'first' or 'last'"),
        (("format: raw", SLOTS, "values: raw", "sparse: false"), "int32 has no NaN for absent rows"),
        (("format: raw", SLOTS, "absent_s: 0.5"), "absent_s (0.5) is less than max_wait_s (1)"),
        (("format: raw", SLOTS, "window_s: 2"), "step_s (1) must be above window_s (2)"),
        (("format: raw", SLOTS, "multicast: [239.1.2.3]", "ip: 127.0.0.1"), "group 239.1.2.3 needs ip: '0.0.0.0'"),
        (("format: raw", SLOTS, "multicast: [239.1.2.3]", "transport: tcp"), "multicast is for datagrams"),
        (("format: raw", SLOTS, "interface: eth0"), "interface is where multicast groups are joined"),
        (
            ("format: raw", SLOTS),
            "nothing arrives from 192.0.2.101, 192.0.2.102, 2001:db8::7: ip 127.0.0.1 hears only this machine; "
            "set ip: '::', or the address of this machine's interface",
        ),
        (
            ("format: raw", "slots: {by: octet, count: 32}", "ip: localhost", "senders: [192.0.2.0/24]"),
            "nothing arrives from 192.0.2.0/24: ip localhost hears only",
        ),
        (("format: raw", SLOTS, "endpoints: ['tcp://192.0.2.7:9']", "port: 4"), "leave out port"),
        (("format: raw", SLOTS, "endpoints: ['tcp://192.0.2.7:9']", "senders: [192.0.2.7]"), "leave them out"),
        (("format: raw", SLOTS, "endpoints: ['tcp://*:9']"), "`bind: true`"),
        (
            ("format: raw", "slots: {by: octet, count: 3}", "endpoints: ['tcp://192.0.2.7:9']"),
            "by: octet needs senders with addresses",
        ),
        (("format: raw", SLOTS, ALL, "streams: {rate_hz: 10}"), "names: is missing"),
        (
            ("format: raw", SLOTS, ALL, "streams: {rate_hz: 10, names: 'HH{slots}'}"),
            "may have {slot} and {channel} in it",
        ),
        (
            ("format: raw", SLOTS, ALL, "streams: {rate_hz: 10, names: 'HH{slot.real}'}"),
            "may have {slot} and {channel}",
        ),
        (("format: raw", SLOTS, ALL, "streams: {rate_hz: 10, names: 'HH{slot:x!}'}"), "cannot be filled in"),
        (("format: raw", SLOTS, ALL, "streams: {rate_hz: 10, names: HHZ}"), "two channels cannot be one stream"),
        (("format: raw", SLOTS, ALL, "streams: {rate_hz: 10, names: [[HHZ]]}"), "slot 1 has no code for its channel 0"),
        (("format: raw", SLOTS, ALL, "streams: {rate_hz: 10, names: 'HHHH{slot}'}"), "channel 'HHHH0' is not 3"),
        (
            ("format: raw", SLOTS, "ordered: false", "streams: {rate_hz: 10, names: 'HH{slot}'}"),
            "leave out `ordered: false`",
        ),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(tmp_path: Path, lines: tuple[str, ...], text: str) -> None:
    assert text in check(tmp_path, *lines)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = check(tmp_path, "format: rew", "slots: {by: octet}", "absent_s: 0.5")
    for part in ("no readout format", "count: 32", "absent_s"):
        assert part in text


def test_two_assemblers_cannot_have_one_port(tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    block = "\n  Receiver: {class: ReadoutAssembler, format: raw, slots: {192.0.2.1: 0}}"
    publisher = "\n  Publishers: {live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: %d}}\n"
    file.write_text(f"station: {{network: XX, code: ARRAY}}\nA:{block}{publisher % 9001}B:{block}{publisher % 9002}")
    with pytest.raises(ConfigError, match="UDP port 17000"):
        load(file)


def test_what_one_component_has_alone_is_known() -> None:
    options: dict[str, Any] = {"endpoints": [], "port": None, "multicast": [], "transport": "tcp", "ip": "::"}
    options |= {"capture": Path("/c"), "bind": True}
    assert ReadoutAssembler.exclusive(options) == ["file /c", "TCP port 17000 of ::"]
    assert ReadoutAssembler.exclusive(options | {"port": 0}) == ["file /c"]
    assert ReadoutAssembler.exclusive(options | {"endpoints": ["tcp://*:9004"]}) == ["file /c", "tcp://0.0.0.0:9004"]


def test_slots_between_others_are_nobodys() -> None:
    slots = SlotSettings.model_validate(as_slots({"192.0.2.1": 0, "192.0.2.2": 3}))
    assert (slots.total, unused_slots(slots, 1)) == (4, frozenset({1, 2}))
    assert unused_slots(slots, 2) == frozenset({2, 3, 4, 5})


def test_python_gets_the_same_words() -> None:
    with pytest.raises(InvalidValue, match="no readout format"):
        ReadoutAssembler([], STATION, format="nothing", slots=SlotSettings(senders={"192.0.2.1": 0}))
