"""Simulator: devices that send readouts, events, times or logs, with faults that are planned or asked for.

`plan` reads what they are, `faults` decides what goes wrong, `simulation` says without a clock what is sent when.
"""

from rawdaq.receivers.simulator.receiver import Simulator

__all__ = ["Simulator"]
