"""The ratio of a short to a long recursive average of a signal's power, whatever pieces the signal comes in.

Source: Withers et al. (1998), "A comparison of select trigger algorithms for automated global seismic phase and event
detection", BSSA 88, 95-106; the averages begin, and the first sample is left out, as in ObsPy's ``recursive_sta_lta``.
"""

import numpy as np

from rawdaq.streams.decimator import Floats, load

#: The long average before any sample, so that nothing is divided by zero.
_FIRST_LTA = 1e-99
_CORNERS = 4


class StaLta:
    """The ratio for each sample of one contiguous signal.

    Args:
        sta_samples: length of the short average, at least 1.
        lta_samples: length of the long average; the first ratios, as many, are 0.
    """

    def __init__(self, sta_samples: int, lta_samples: int) -> None:
        self._filter = load().lfilter
        self._short, self._long = 1 / sta_samples, 1 / lta_samples
        self._sta = np.zeros(1)  # what the filters keep: the share of the average that the next one has of it
        self._lta = np.full(1, (1 - self._long) * _FIRST_LTA)
        self._settling = lta_samples
        self._has_begun = False

    def push(self, samples: Floats) -> Floats:
        """Return the ratio for each of *samples*, which follow those pushed before."""
        skipped = 0 if self._has_begun else 1
        self._has_begun = self._has_begun or samples.size > 0
        power = np.square(samples[skipped:])
        ratios = np.zeros(samples.size)
        if power.size:
            sta, self._sta = self._filter([self._short], [1, self._short - 1], power, zi=self._sta)
            lta, self._lta = self._filter([self._long], [1, self._long - 1], power, zi=self._lta)
            np.divide(sta, lta, out=ratios[skipped:], where=lta > 0)  # after hours of zeros it is 0
        settling = min(self._settling, samples.size)
        ratios[:settling] = 0.0
        self._settling -= settling
        return ratios


class BandPass:
    """A Butterworth band-pass of four corners, causal; a constant offset of the signal leaves no transient.

    Args:
        low_hz: the lower corner.
        high_hz: the upper corner, below half the sampling rate.
        rate_hz: sampling rate of the signal.
    """

    def __init__(self, low_hz: float, high_hz: float, rate_hz: float) -> None:
        signal = load()
        self._filter = signal.sosfilt
        corners_hz = [low_hz, high_hz]
        self._sections = signal.butter(_CORNERS, corners_hz, "bandpass", fs=rate_hz, output="sos")
        self._state = np.zeros((len(self._sections), 2))
        self._offset: float | None = None

    def push(self, samples: Floats) -> Floats:
        """Return *samples*, which follow those pushed before, filtered."""
        if not samples.size:
            return samples
        if self._offset is None:
            self._offset = float(samples[0])
        filtered: Floats
        filtered, self._state = self._filter(self._sections, samples - self._offset, zi=self._state)
        return filtered
