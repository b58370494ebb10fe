"""Waveform files of any format as packets in order of time, and the clock that says when each is due.

`sources` opens files, `merge` puts them in order, `reader` reads ahead in a thread; only `waveforms` imports ObsPy.
"""
