"""The RAW protocol, versions 2.0, 1.1 and 1.0: `RawPlugin` connects and reads, `RawDevice` listens and sends.

::

    plugin                                   device
    RAW 2.0                    ->
                               <-            RAW 2.0
    CHANNEL, 7 (of each)       ->
                               <-            SAMPLING RATE, 100, SAMPLE ENDIANNESS, little, SAMPLE TYPE, int32
    START                      ->
                               <-            STARTING, then packets for ever

The device side is in `raw_device`, the plugin side in `raw_plugin` and, for many packets at once, in `raw_runs`; what
both share is in `raw_format`, and everything that a peer can do wrong in `raw_errors`. Here is what the rest of the
program uses.

>>> plugin, device = RawPlugin([7]), RawDevice({7: ChannelFormat(62.5, Endianness.BIG, SampleType.INT16)})
>>> list(device.receive_data(plugin.data_to_send()))
[VersionRequested(version=<RawVersion.V2_0: '2.0'>)]
>>> list(plugin.receive_data(device.data_to_send()))
[VersionAgreed(version=<RawVersion.V2_0: '2.0'>)]
>>> list(device.receive_data(plugin.data_to_send()))
[ChannelRequested(channel=7), StartRequested(channels=(7,))]
"""

from rawdaq.packet import SampleType
from rawdaq.protocols.raw.device import ChannelRequested, RawDevice, StartRequested, VersionRequested
from rawdaq.protocols.raw.errors import (
    BadSamplingRate,
    ChannelNotRequested,
    ChannelRefused,
    ConnectionCut,
    LineTooLong,
    PacketTooLarge,
    UnexpectedLine,
    UnknownEndianness,
    UnknownSampleType,
    VersionRefused,
)
from rawdaq.protocols.raw.format import (
    EARLIEST_NS,
    LATEST_NS,
    MAX_SAMPLES,
    ChannelFormat,
    Endianness,
    RawVersion,
    encode_header,
    encode_packet,
)
from rawdaq.protocols.raw.packets import PacketEvent, PacketProblem, ProblemKind, SampleBlock
from rawdaq.protocols.raw.plugin import ChannelDescribed, PluginEvent, RawPlugin, Started, VersionAgreed
from rawdaq.protocols.raw.runs import SampleRun

__all__ = [
    "EARLIEST_NS",
    "LATEST_NS",
    "MAX_SAMPLES",
    "BadSamplingRate",
    "ChannelDescribed",
    "ChannelFormat",
    "ChannelNotRequested",
    "ChannelRefused",
    "ChannelRequested",
    "ConnectionCut",
    "Endianness",
    "LineTooLong",
    "PacketEvent",
    "PacketProblem",
    "PacketTooLarge",
    "PluginEvent",
    "ProblemKind",
    "RawDevice",
    "RawPlugin",
    "RawVersion",
    "SampleBlock",
    "SampleRun",
    "SampleType",
    "StartRequested",
    "Started",
    "UnexpectedLine",
    "UnknownEndianness",
    "UnknownSampleType",
    "VersionAgreed",
    "VersionRefused",
    "VersionRequested",
    "encode_header",
    "encode_packet",
]
