"""Stream ids of both styles."""

import re

import pytest

from rawdaq.protocols.datalink import IdStyle, datalink_id, expression_of, payload_type, stream_of, translated
from rawdaq.stream_id import StreamId


@pytest.mark.parametrize("text", ["XX.TOWR.00.HHZ", "XX.A..BHN", "XX.STATION1.00.V_LONG_SUB", "XX.A.10._X_"])
@pytest.mark.parametrize("style", IdStyle)
def test_a_stream_and_its_id_name_each_other(text: str, style: IdStyle) -> None:
    stream = StreamId.parse(text)
    name = datalink_id(stream, "MSEED3", style)
    assert stream_of(name) == stream
    assert payload_type(name) == "MSEED3"


@pytest.mark.parametrize("name", ["", "foo/JSON", "XX_A_00/JSON", "XX_TOWR_00_L_O_G_X/JSON", "xx_a__HHZ/MSEED"])
def test_other_names_are_no_stream(name: str) -> None:
    assert stream_of(name) is None


def test_the_type_is_all_that_follows_the_first_slash() -> None:
    assert payload_type("a/b/c") == "b/c"
    assert payload_type("a") == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("XX_TOWR_00_HHZ/MSEED", "FDSN:XX_TOWR_00_H_H_Z/MSEED"),
        ("XX_T__BHN/MSEED", "FDSN:XX_T__B_H_N/MSEED"),
        ("FDSN:XX_T_00_H_N_Z/MSEED", "FDSN:XX_T_00_H_N_Z/MSEED"),
        ("XX_TOWR_00_HHZ/MSEED3", "XX_TOWR_00_HHZ/MSEED3"),
        ("XX_TOWERS_00_HHZ/MSEED", "XX_TOWERS_00_HHZ/MSEED"),
        ("xx_T_00_HHZ/MSEED", "xx_T_00_HHZ/MSEED"),
    ],
)
def test_only_the_exact_legacy_form_is_translated(given: str, kept: str) -> None:
    assert translated(given) == kept


def test_an_expression_selects_exactly_its_ids() -> None:
    names = ["FDSN:XX_A_00_H_H_Z/MSEED", "a.b+c", "(x"]
    pattern = re.compile(expression_of(names))
    assert all(pattern.search(name) for name in names)
    assert not any(pattern.search(name) for name in ("FDSN:XX_A_00_H_H_Z/MSEED3", "axb+c", "xa.b+c"))
