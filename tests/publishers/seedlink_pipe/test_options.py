"""Options of SeedLinkPluginPublisher, as the station file's reader checks them."""

from pathlib import Path
from typing import Any

import pytest

from rawdaq.config.options import read_options
from rawdaq.publishers.seedlink_pipe.publisher import SeedLinkPluginPublisher
from rawdaq.stream_id import StreamId


def checked(streams: list[str], **given: Any) -> str | None:
    """Return what the station file's reader would say."""
    options, mistakes = read_options(SeedLinkPluginPublisher, given, Path("/"))
    assert mistakes == []
    return SeedLinkPluginPublisher.check_streams([StreamId.parse(stream) for stream in streams], options)


@pytest.mark.parametrize(
    ("streams", "options", "reason"),
    [
        (["XX.DEMO.00.HHZ", "XX.DEMO.00.HHN"], {}, None),
        (["XX.DEMO.00.HHZ", "XX.DEMO.00.HHN"], {"mode": "raw"}, None),
        (["XX.DEMO.00.HHZ"], {"flush_each_packet": True, "encoding": "steim1"}, None),
        (["XX.DEMODEMO.00.HHZ"], {}, "'XX.DEMODEMO' has 11 characters"),
        (["XXX.DEMO.00.HHZ"], {}, "no room for network XXX"),
        (["XX.DEMO.00.HHZ", "XX.DEMO.10.HHZ"], {}, None),
        (["XX.DEMO.00.HHZ", "XX.DEMO.10.HHZ"], {"mode": "raw"}, "would both be channel HHZ of XX.DEMO; change channel"),
        (["XX.DEMO.00.HHZ", "XX.DEMO.10.HHZ"], {"mode": "raw", "channel_key": "{location}{channel}"}, None),
        (["XX.DEMO.00.H_VERYLONG_Z"], {"mode": "raw"}, "channel 'H_VERYLONG_Z' has"),
        ([], {"mode": "raw", "encoding": "steim1"}, "leave encoding out"),
        ([], {"flush_after_s": 2.0, "flush_each_packet": True}, "leave one of them out"),
        ([], {"fd": 5, "pipe": "x"}, "leave one of them out"),
    ],
)
def test_options_and_streams_that_do_not_go_together_are_told(
    streams: list[str], options: dict[str, Any], reason: str | None
) -> None:
    said = checked(streams, **options)
    assert said is None if reason is None else reason in str(said)


@pytest.mark.parametrize("pattern", ["{net}", "{", "", "{0}", "{network.size}"])
def test_a_pattern_that_names_nothing_is_refused(pattern: str) -> None:
    _, (mistake,) = read_options(SeedLinkPluginPublisher, {"station_key": pattern}, Path("/"))
    assert "is no pattern; it is made of text and {network}, {station}, {location}, {channel}" in mistake.text
