"""What a miniSEED record says of its samples besides their time: the quality of the data, and flags."""

from typing import NamedTuple


class Marks(NamedTuple):
    """Data quality and flags of samples, which a file or a server has, and a device has not.

    They survive into an archive. Samples with other marks are in records of their own.

    Attributes:
        publication: 1 to 4 are the data qualities R, D, Q and M of miniSEED 2, more are publication versions of
            miniSEED 3; 0 is what records usually have, D and version 1.
        flags: those of miniSEED 3, added up: 1 calibration signals, 2 time tag questionable, 4 clock locked.
        headers: events, leap seconds and data quality flags, as JSON of FDSN's extra headers; empty: none.
    """

    publication: int = 0
    flags: int = 0
    headers: str = ""
