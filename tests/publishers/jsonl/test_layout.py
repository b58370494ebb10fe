"""Where JSON packets belong, as dali2jsonl has it."""

from collections.abc import Mapping

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.protocols.datalink import DataPacket
from rawdaq.publishers.jsonl.layout import JsonLinesLayout
from rawdaq.times import from_iso

START_NS = from_iso("2026-03-01T04:05:06.789Z")


def packet(name: str, start_ns: int = START_NS) -> DataPacket:
    return DataPacket(name, 1, 0, start_ns, start_ns, b"{}")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("XX_TOWR_00_HHZ/JSON", "XX/TOWR/2026/060/XX.TOWR.00.HHZ.2026.060.04.jsonl"),
        ("FDSN:XX_TOWR_00_H_H_Z/JSON", "XX/TOWR/2026/060/XX.TOWR.00.HHZ.2026.060.04.jsonl"),
        ("FDSN:XX_TOWR__VERY_LONGSOURCE_SUB/BZJSON", "XX/TOWR/2026/060/XX.TOWR..VERY_LONGSOURCE_SUB.2026.060.04.jsonl"),
        ("XX_TOWR_00_L_O_G/JSON", None),
        ("FDSN:XX_TOWR_00/JSON", None),
        ("foo/JSON", None),
        ("XX_.._00_HHZ/JSON", None),
        ("XX_A\0_00_HHZ/JSON", None),
    ],
)
def test_a_packet_has_the_place_that_dali2jsonl_gives_it(name: str, path: str | None) -> None:
    layout = JsonLinesLayout("%n/%s/%Y/%j/%n.%s.%l.%c.%Y.%j.%H.jsonl")
    assert layout.path(packet(name)) == path


def test_minutes_seconds_and_the_sign_itself_are_ours() -> None:
    layout = JsonLinesLayout("../%M%S%%/%1%")
    assert layout.path(packet("XX_A_00_HHZ/JSON")) == "../0506%/%1%"
    assert layout.path(packet("XX_A_00_HHZ/JSON", 2**63 - 1)) is None  # a year that no calendar of ours has


def test_bands_have_patterns_of_their_own_or_those_of_others() -> None:
    layout = JsonLinesLayout("all/%c", {"H": "high/%c", "B": "H", "L": "B"})
    names = ("HHZ", "BHZ", "LHZ", "VHZ")
    paths = [layout.path(packet(f"XX_A_00_{channel}/JSON")) for channel in names]
    assert paths == ["high/HHZ", "high/BHZ", "high/LHZ", "all/VHZ"]


@pytest.mark.parametrize(
    ("write", "bands", "reason"),
    [
        ("", {}, "write pattern is empty ''"),
        ("%n/%q", {}, "directory value %q not allowed in write pattern %n/%q; there are %n, %s"),
        ("a", {"H": "%y"}, "directory value %y not allowed"),
        ("a", {"HH": "b"}, "band code 'HH' is not one letter"),
        ("a", {"H": "B", "B": "H"}, "bands H, B have each other's pattern"),
    ],
)
def test_what_is_no_pattern_is_told(write: str, bands: Mapping[str, str], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        JsonLinesLayout(write, bands)
