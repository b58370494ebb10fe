"""How events are found in waveforms: the settings of a STA/LTA trigger and of a coincidence of several."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from rawdaq.config.options import Settings
from rawdaq.stream_id import check_patterns

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Hertz = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class CoincidenceSettings(Settings):
    """When several streams make one event.

    Attributes:
        count: of so many different streams.
        within_s: whose onsets are no farther apart.
    """

    count: Annotated[int, Field(ge=2, le=10_000)]
    within_s: Seconds


class TriggerSettings(Settings):
    """The block `Trigger`: finds events in the component's own streams by STA/LTA, and publishes them beside these.

    >>> TriggerSettings(sta_s=0.5, lta_s=30, on=4, off=1.5).min_s
    0.0

    Attributes:
        streams: shell-style patterns of the streams that it listens to; an empty list means all.
        sta_s: length of the short average.
        lta_s: length of the long average; nothing is found before so much of a stream has come.
        on: an event begins where the ratio rises above this.
        off: it ends where the ratio is no longer above this.
        min_s: an event that lasts less is not reported, and no event before it has lasted so long.
        band: lower and upper corner in Hz of a band-pass before the trigger; None: none.
        coincidence: makes one event of those of several streams; None: no.
    """

    streams: list[str] = Field(default_factory=list)
    sta_s: Seconds = 0.5
    lta_s: Seconds = 30.0
    on: Ratio = 4.0
    off: Ratio = 1.5
    min_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    band: Annotated[list[Hertz], Field(min_length=2, max_length=2)] | None = None
    coincidence: CoincidenceSettings | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        check_patterns(self.streams)
        if self.sta_s >= self.lta_s:
            raise ValueError(f"sta_s {self.sta_s:g} is not below lta_s {self.lta_s:g}")
        if self.off > self.on:
            raise ValueError(f"off {self.off:g} is above on {self.on:g}")
        if self.band is not None and self.band[0] >= self.band[1]:
            raise ValueError(f"band {self.band} is not a lower and an upper frequency")
        return self
