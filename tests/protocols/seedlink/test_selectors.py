"""Which selector matches which stream: tables for both forms, and what a client writes in each version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawdaq.errors import InvalidValue, LocalProtocolError
from rawdaq.protocols.seedlink import Selector, StreamKey, selected_filter
from rawdaq.protocols.seedlink.selectors import matches_glob

Z00, N00, Z10, Z, LOG = (
    StreamKey("00", "HHZ"),
    StreamKey("00", "HHN"),
    StreamKey("10", "HNZ"),
    StreamKey("", "HHZ"),
    StreamKey("", "LOG", "2", "L"),
)
V3 = StreamKey("00", "HHZ", "3")
LONG = StreamKey("00", "H_ABC_Z", "3")
NAMES = {"Z00": Z00, "N00": N00, "Z10": Z10, "Z": Z, "LOG": LOG, "V3": V3, "LONG": LONG}

# The streams of NAMES that each selector names.
MATCHES = {
    # version 3
    "00HHZ": "Z00 V3",
    "00HH?": "Z00 N00 V3",
    "HHZ": "Z00 Z V3",
    "??HHZ": "Z00 Z V3",
    "0?HHZ": "Z00 V3",
    "?0H??": "Z00 N00 Z10 V3",
    "--HHZ": "Z",
    "???": "Z00 N00 Z10 Z LOG V3",
    "?????": "Z00 N00 Z10 Z LOG V3",
    "HHZ.D": "Z00 Z V3",
    "HHZ.L": "",
    "LOG.L": "LOG",
    "L": "LOG",
    "D": "Z00 N00 Z10 Z V3 LONG",
    "hhz": "Z00 Z V3",
    "*HHZ": "Z00 Z V3",
    "1*": "Z10",
    # version 4
    "00_H_H_Z": "Z00 V3",
    "00_*": "Z00 N00 V3 LONG",
    "*_H_H_?": "Z00 N00 Z V3",
    "_H_H_Z": "Z",
    "*": "Z00 N00 Z10 Z LOG V3 LONG",
    "*_ABC_*": "LONG",
    "00_H_H_Z.2": "Z00",
    "00_H_H_Z.2D": "Z00",
    "00_H_H_Z.?D": "Z00 V3",
    "00_H_H_Z.3D": "V3",
    "*.3": "V3 LONG",
    "*.?L": "LOG",
    "*.2?": "Z00 N00 Z10 Z LOG",
    "*_H_H_Z.D": "Z00 Z V3",  # as libslink writes it
    "HHZ.2": "Z00 Z",
    ".L": "LOG",
}


@pytest.mark.parametrize("text", MATCHES)
def test_a_selector_names_these_streams(text: str) -> None:
    selector = Selector.parse(text)
    assert " ".join(name for name, stream in NAMES.items() if selector.matches(stream)) == MATCHES[text]
    assert Selector.parse(str(selector)) == selector
    excluding = Selector.parse("!" + text)
    assert excluding.excludes
    assert all(excluding.matches(stream) == selector.matches(stream) for stream in NAMES.values())


WRONG = [
    "",
    "!",
    "X",
    "HH",
    "HHZZ",
    "ABCDEFGHIJ",
    "A" * 65,
    "00HHZ.DDD",
    "HHZ.",
    "HHZ:",
    "HHZ:a-b",
    "HH Z",
    "HHZ!",
    "H\xd6Z",
    "\u017f\u017fZ",  # letters that are ASCII in capitals
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="selector"):
        Selector.parse(text)


# How a client writes each selector in version 4 and in version 3, None where version 3 cannot say it.
WRITTEN = {
    "00HHZ": ("00_H_H_Z", "00HHZ"),
    "HHZ": ("*_H_H_Z", "HHZ"),
    "??HHZ": ("*_H_H_Z", "??HHZ"),
    "0?HHZ": ("0*_H_H_Z", "0?HHZ"),
    "?0HHZ": ("?0_H_H_Z", "?0HHZ"),
    "--HHZ": ("_H_H_Z", "--HHZ"),
    "!HHN": ("!*_H_H_N", "!HHN"),
    "HHZ.D": ("*_H_H_Z.?D", "HHZ.D"),
    "E": ("*.?E", "???.E"),
    "HHZ:3": ("*_H_H_Z:3", None),
    "HHZ:native": ("*_H_H_Z:native", "HHZ"),
    "*HHZ": ("*_H_H_Z", "HHZ"),
    "1*": ("1*", None),
    "*": ("*", "???"),
    "00_H_H_Z": ("00_H_H_Z", "00HHZ"),
    "_H_H_Z": ("_H_H_Z", "--HHZ"),
    "0_H_H_Z": ("0_H_H_Z", "0-HHZ"),
    "*_H_H_?": ("*_H_H_?", "HH?"),
    "00_H_H_Z.2D": ("00_H_H_Z.2D", "00HHZ.D"),
    "00_H_H_Z.?D": ("00_H_H_Z.?D", "00HHZ.D"),
    "00_H_H_Z.2": ("00_H_H_Z.2", "00HHZ"),
    "00_H_H_Z.2?": ("00_H_H_Z.2?", "00HHZ"),
    "00_H_H_Z.3D": ("00_H_H_Z.3D", None),
    "00_H_H_Z.2X": ("00_H_H_Z.2X", None),
    "00_H_ABC_Z": ("00_H_ABC_Z", None),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_client_writes_a_selector_in_the_words_of_its_version(text: str) -> None:
    v4, v3 = WRITTEN[text]
    selector = Selector.parse(text)
    assert selector.v4 == v4
    if v3 is None:
        with pytest.raises(LocalProtocolError, match="SeedLink 3 cannot say"):
            _ = selector.v3
    else:
        assert selector.v3 == v3


# The filter of each stream of NAMES that is wanted.
CHOICES = {
    "": "native native native native native native native",
    "HHZ": "native - - native - native -",
    "!00HHN": "native - native native native native native",
    "00HH? !00HHN": "native - - - - native -",
    "* !*_H_H_N": "native - native native native native native",
    "HHZ:3 *": "3 native native 3 native 3 native",
    "* HHZ:3": "3 native native 3 native 3 native",
    "HHZ:3 HHZ:native": "3 - - 3 - 3 -",
    "HHZ:3 !10HNZ": "3 - - 3 - 3 -",
}


@pytest.mark.parametrize("texts", CHOICES)
def test_a_stream_is_sent_when_something_wants_and_nothing_excludes_it(texts: str) -> None:
    selectors = [Selector.parse(text) for text in texts.split()]
    chosen = [selected_filter(selectors, stream) or "-" for stream in NAMES.values()]
    assert " ".join(chosen) == CHOICES[texts]


GLOBS = [
    ("", "", True),
    ("", "a", False),
    ("*", "", True),
    ("?", "", False),
    ("a*b", "ab", True),
    ("a*b", "aXbY", False),
    ("**a?*", "XaYZ", True),
    ("*a*a*", "aXa", True),
    ("a", "a*", False),
    ("ab", "a", False),
    ("a*", "a", True),
]


@pytest.mark.parametrize(("pattern", "text", "is_match"), GLOBS)
def test_globs(pattern: str, text: str, is_match: bool) -> None:
    assert matches_glob(pattern, text) is is_match


def test_a_pattern_of_many_stars_costs_little() -> None:
    assert not matches_glob("*a" * 1000 + "b", "a" * 2000)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_a_glob_matches_what_a_regular_expression_does(pattern: str, text: str) -> None:
    import re

    expected = re.fullmatch(pattern.replace("*", ".*").replace("?", "."), text)
    assert matches_glob(pattern, text) == bool(expected)


@given(st.text(max_size=70), st.sampled_from(list(NAMES.values())))
def test_any_text_is_a_selector_or_refused(text: str, stream: StreamKey) -> None:
    try:
        selector = Selector.parse(text)
    except InvalidValue:
        return
    assert Selector.parse(str(selector)).matches(stream) == selector.matches(stream)
    assert Selector.parse(selector.v4)
    try:
        in_v3 = Selector.parse(selector.v3)
    except LocalProtocolError:
        return
    if stream.format == "2":  # version 3 has no other
        assert in_v3.matches(stream) == selector.matches(stream)
