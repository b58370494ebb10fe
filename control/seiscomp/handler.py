"""SeisComP's handler of the SeedLink source ``rawdaq``: turns the bindings of a station into the plugin's command.

``control-rawdaq seiscomp install`` copies this file to ``share/templates/seedlink/rawdaq/setup.py``. There it runs in
SeisComP's Python, which may be old and has no rawdaq: it needs only the standard library of Python 3.6.
"""

import re
from typing import Any

_PREFIX = "sources.rawdaq."
_ENCODINGS = ("STEIM1", "STEIM2", "INT16", "INT32", "FLOAT32", "FLOAT64")

# Values become a part of a shell command: no pattern allows a blank, a quote or a leading hyphen.
_STATION = re.compile("[A-Z0-9]{1,2}[.][A-Z0-9]{1,5}")
_HOST = re.compile("[A-Za-z0-9_:][A-Za-z0-9._:-]*")
_LOCATION = re.compile("[A-Z0-9]{0,2}")
_PAIR = re.compile("[A-Z0-9]{3}:[0-9]{1,10}")
_WHOLE = re.compile("[0-9]{1,10}")
_DECIMAL = re.compile("[0-9]{1,10}([.][0-9]{1,9})?")
_MAX_CHANNEL = 0xFFFFFFFF


class SeedlinkPluginHandler:
    """Gets each station whose bindings name this source."""

    def push(self, seedlink: Any) -> str:
        """Set the parameters that the template needs, and return the key of the plugin's process.

        The key is the whole command, so that a station may have several such sources, under aliases.

        Raises:
            ValueError: a binding is missing or wrong; the text names station and parameter, and what would be right.
        """
        binding = _Binding(seedlink)
        values = {
            "host": binding.matching("host", "localhost", _HOST, "a host name or an address"),
            "port": binding.number("port", "65535", 1, 65535),
            "stream": binding.station,
            "channelCodeMap": binding.channel_map(),
            "miniSeedEncoding": binding.encoding(),
            "flushAfter": binding.number("flushAfter", "1", 0, 86400),
        }
        for name, value in values.items():
            seedlink.setParam(_PREFIX + name, value)
        return " ".join(values.values())

    def flush(self, seedlink: Any) -> None:
        """Do nothing: the command has everything."""


class _Binding:
    """The parameters of this source in the bindings of one station."""

    def __init__(self, seedlink: Any) -> None:
        self._seedlink = seedlink
        self.station = f"{seedlink.net}.{seedlink.sta}"
        if not _STATION.fullmatch(self.station):
            raise ValueError(f"{self.station}: records have room for 2 characters of network and 5 of station, A-Z 0-9")

    def value(self, name: str, default: str) -> str:
        """Return the parameter *name*, or *default* when it is not set or empty."""
        try:
            return str(self._seedlink.param(_PREFIX + name)).strip() or default
        except Exception:  # SeisComP does not promise which exception it raises
            return default

    def matching(self, name: str, default: str, pattern: "re.Pattern[str]", what: str) -> str:
        """Return the parameter *name*, which must be *what*."""
        value = self.value(name, default)
        if not pattern.fullmatch(value):
            raise self.wrong(name, value, what)
        return value

    def number(self, name: str, default: str, low: int, high: int) -> str:
        """Return the parameter *name* as it is written: a number, whole unless it may be 0."""
        value = self.value(name, default)
        shape = _WHOLE if low else _DECIMAL
        if not (shape.fullmatch(value) and low <= float(value) <= high):
            raise self.wrong(name, value, f"a number from {low} to {high}")
        return value

    def encoding(self) -> str:
        """Return the encoding in capitals."""
        value = self.value("miniSeedEncoding", "STEIM2").upper()
        if value not in _ENCODINGS:
            raise self.wrong("miniSeedEncoding", value, "one of " + ", ".join(_ENCODINGS))
        return value

    def words(self, name: str, what: str) -> "list[str]":
        """Return the parameter *name*, a list that must not be empty."""
        words = [word.strip() for word in self.value(name, "").split(",") if word.strip()]
        if not words:
            raise self.wrong(name, "", what)
        return words

    def channel_map(self) -> str:
        """Return ``LOC.CHA:id,LOC.CHA:id``, made of all channel profiles."""
        streams: list[str] = []  # Python does not look at what stands here
        channels: list[str] = []
        for profile in self.words("channelProfiles", "a list of names of channel profiles"):
            own = f"channelProfile.{profile}."
            location = self.matching(own + "locationCode", "", _LOCATION, "a location code of 2 characters or fewer")
            for pair in self.words(own + "channelCodes", "a list such as HHZ:1,HHN:2"):
                if not _PAIR.fullmatch(pair):
                    raise self.wrong(own + "channelCodes", pair, "channel code:channel id of the device, such as HHZ:1")
                code, channel = pair.split(":")
                if int(channel) > _MAX_CHANNEL:
                    raise self.wrong(
                        own + "channelCodes", pair, "a channel id of the device, at most " + str(_MAX_CHANNEL)
                    )
                channel = str(int(channel))
                streams.append(f"{location}.{code}")
                channels.append(channel)
        for names in (streams, channels):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise self.wrong("channelProfiles", twice[0], "there once")
        return ",".join(f"{stream}:{channel}" for stream, channel in zip(streams, channels))  # noqa: B905 - Python 3.10

    def wrong(self, name: str, value: str, what: str) -> ValueError:
        """Return the error to raise: *name* is *value* and should be *what*."""
        return ValueError(f"station {self.station}: {_PREFIX}{name} is {value!r}; it should be {what}")
