"""ReadoutAssembler puts datagrams of many senders together, ArrayAssembler waveforms of many stations.

`intake` makes parts of datagrams, `output` messages of readouts, `waveforms` packets of their samples.
"""

from rawdaq.receivers.assembler.array import ArrayAssembler
from rawdaq.receivers.assembler.receiver import ReadoutAssembler

__all__ = ["ArrayAssembler", "ReadoutAssembler"]
