"""Response files as the Nominal Response Library has them: in each the other instrument changes nothing."""

_HEAD = """\
B050F03     Station:     XX
B050F16     Network:     XX
B052F03     Location:    ??
B052F04     Channel:     HHZ
B052F22     Start date:  2010,001,00:00:00.0000
B052F23     End date:    No Ending Time
"""

_UNITS = {"M/S": "M/S - velocity", "V": "V - Volts", "COUNTS": "COUNTS - Digital Counts"}


def poles_zeros(stage: int, units: tuple[str, str], factor: float, zeros: list[complex], poles: list[complex]) -> str:
    """Return a stage of poles and zeros."""
    rows = [
        f"B053F{field}  {number}  {value.real:.6E}  {value.imag:.6E}  0.0E+00  0.0E+00"
        for field, values in (("10-13", zeros), ("15-18", poles))
        for number, value in enumerate(values)
    ]
    return "\n".join(
        [
            "B053F03     Transfer function type:  A [Laplace Transform (Rad/sec)]",
            f"B053F04     Stage sequence number:   {stage}",
            f"B053F05     Response in units lookup:  {_UNITS[units[0]]}",
            f"B053F06     Response out units lookup:  {_UNITS[units[1]]}",
            f"B053F07     A0 normalization factor:  {factor:.8E}",
            "B053F08     Normalization frequency:  1.0",
            f"B053F09     Number of zeroes:  {len(zeros)}",
            f"B053F14     Number of poles:  {len(poles)}",
            *rows,
            "",
        ]
    )


def coefficients(stage: int, numerators: list[float]) -> str:
    """Return a stage of numerators; without any it is an analogue-to-digital converter."""
    units = ("COUNTS", "COUNTS") if numerators else ("V", "COUNTS")
    rows = [f"B054F08-09  {number}  {value:.8E}  0.0E+00" for number, value in enumerate(numerators)]
    return "\n".join(
        [
            "B054F03     Transfer function type:  D",
            f"B054F04     Stage sequence number:  {stage}",
            f"B054F05     Response in units lookup:  {_UNITS[units[0]]}",
            f"B054F06     Response out units lookup:  {_UNITS[units[1]]}",
            f"B054F07     Number of numerators:  {len(numerators)}",
            "B054F10     Number of denominators:  0",
            *rows,
            "",
        ]
    )


def decimation(stage: int, rate_hz: float, factor: int, delay_s: float = 0.0) -> str:
    """Return how a stage decimates."""
    return (
        f"B057F03     Stage sequence number:  {stage}\n"
        f"B057F04     Input sample rate (HZ):  {rate_hz:.4E}\n"
        f"B057F05     Decimation factor:  {factor:05}\n"
        "B057F06     Decimation offset:  00000\n"
        f"B057F07     Estimated delay (seconds):  {delay_s:.4E}\n"
        f"B057F08     Correction applied (seconds):  {delay_s:.4E}\n"
    )


def gain(stage: int, value: float) -> str:
    """Return the gain of a stage; stage 0 is the whole."""
    return (
        f"B058F03     Stage sequence number:  {stage}\n"
        f"B058F04     Gain:  {value:.6E}\n"
        "B058F05     Frequency of gain:  1.0 HZ\n"
        "B058F06     Number of calibrations:  0\n"
    )


def sensor(sensitivity: float = 1500.0) -> str:
    """Return the file of a 120 s seismometer."""
    poles = [-0.03702 + 0.03702j, -0.03702 - 0.03702j]
    parts = [
        poles_zeros(1, ("M/S", "V"), 1.0, [0j, 0j], poles),
        gain(1, sensitivity),
        coefficients(2, []),
        decimation(2, 100.0, 1),
        gain(2, 1.0),
        gain(0, sensitivity),
    ]
    return _HEAD + "".join(parts)


def digitizer(rate_hz: float = 100.0, counts: float = 419430.0) -> str:
    """Return the file of a digitizer with a preamplifier of gain 2 and a filter that decimates by 5."""
    parts = [
        poles_zeros(1, ("M/S", "V"), 1.0, [], []),
        gain(1, 1.0),
        poles_zeros(2, ("V", "V"), 1.0, [], []),
        gain(2, 2.0),
        coefficients(3, []),
        decimation(3, rate_hz * 5, 1),
        gain(3, counts),
        coefficients(4, [0.1, 0.2, 0.4, 0.2, 0.1]),
        decimation(4, rate_hz * 5, 5, 2 / (rate_hz * 5)),
        gain(4, 1.0),
        gain(0, 2 * counts),
    ]
    return _HEAD + "".join(parts)
