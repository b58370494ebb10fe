"""ReadoutAssembler: what many senders measured at one instant, by datagrams, as readouts.

`intake` makes parts of datagrams, `output` messages of readouts, `waveforms` packets of their samples.
"""

from rawdaq.receivers.assembler.receiver import ReadoutAssembler

__all__ = ["ReadoutAssembler"]
