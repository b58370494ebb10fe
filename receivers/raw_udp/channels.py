"""The channels of a device that sends datagrams: without a handshake, the station file describes their samples."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from rawdaq.config.channels import ChannelCode, ChannelId
from rawdaq.config.settings import Settings
from rawdaq.errors import InvalidValue
from rawdaq.packet import SampleType
from rawdaq.protocols.raw import ChannelFormat, Endianness

SampleTypeName = Literal["int8", "int16", "int32", "float32", "float64"]
EndiannessName = Literal["little", "big"]
Rate = Annotated[float, Field(ge=1e-9, le=1e9)]


class UdpDefaults(Settings):
    """The format of channels that do not have their own."""

    rate_hz: Rate | None = None
    type: SampleTypeName = "int32"
    endianness: EndiannessName = "little"


class UdpChannel(Settings):
    """A channel that comes in datagrams; what it leaves out is as in the receiver's own options.

    Attributes:
        code: its name: ``[location.]channel``.
        rate_hz: its sampling rate.
        type: the type of its samples.
        endianness: their byte order.
    """

    code: ChannelCode
    rate_hz: Rate | None = None
    type: SampleTypeName | None = None
    endianness: EndiannessName | None = None

    def format(self, defaults: UdpDefaults) -> ChannelFormat:
        """Return the format of its samples.

        Raises:
            InvalidValue: neither the channel nor the receiver has a rate.
        """
        rate_hz = self.rate_hz or defaults.rate_hz
        if rate_hz is None:
            raise InvalidValue(f"{self.code} has no rate_hz: write {{code: {self.code}, rate_hz: 100}}, or it for all")
        return ChannelFormat(
            rate_hz, Endianness(self.endianness or defaults.endianness), SampleType(self.type or defaults.type)
        )


def as_channel(value: Any) -> Any:
    """Return *value* as the fields of a channel; a code alone is one of them.

    Raises:
        ValueError: keys that a channel does not have.
    """
    if isinstance(value, str):
        return {"code": value}
    if isinstance(value, dict):
        keys: set[object] = set(cast(dict[object, object], value))
        if unknown := keys - UdpChannel.model_fields.keys():
            known = ", ".join(UdpChannel.model_fields)
            raise ValueError(f"unknown key {', '.join(sorted(map(str, unknown)))}; a channel has {known}")
    return cast(Any, value)


_Channel = Annotated[UdpChannel, BeforeValidator(as_channel, json_schema_input_type=str | UdpChannel)]
#: By the id that the device gives them: each a code, or a block of the fields of `UdpChannel`.
UdpChannels = dict[ChannelId, _Channel]


def formats(channels: Mapping[int, UdpChannel], defaults: UdpDefaults) -> dict[int, ChannelFormat]:
    """Return the format of every channel's samples.

    Raises:
        InvalidValue: channels without a rate; the text names all of them.
    """
    found: dict[int, ChannelFormat] = {}
    mistakes: list[str] = []
    for number, channel in channels.items():
        try:
            found[number] = channel.format(defaults)
        except InvalidValue as error:
            mistakes.append(f"channel {number}: {error}")
    if mistakes:
        raise InvalidValue("; ".join(mistakes))
    return found
