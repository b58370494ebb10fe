"""Waveform files of any kind as packets in order of time, and the clock by which they are due.

`sources` opens files, `merge` puts them in order, `reader` reads ahead in a thread; `waveforms` is the home of ObsPy.
"""
