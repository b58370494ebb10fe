"""Events from waveforms: `sta_lta` has the ratio, `detector` finds where it is high, `coincidence` where many agree.

`trigger` does that for all streams of a component; nothing here depends on how samples are cut into packets.
"""
