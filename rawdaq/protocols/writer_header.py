"""The header that the detector writer ``std-det-writer`` reads: that of the frame, with what the writer must know.

>>> run = WriterRun("/data/run7.h5", 7, 100, "camera")
>>> rewrite({"frame": 41, "shape": [2, 3]}, run, 0)[:58]
b'{"frame":0,"shape":[2,3],"image_attributes":{"image_number'
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from rawdaq.protocols.message_errors import HeaderValueWrong

#: What one version of the writer has room for; it cuts off the rest.
MAX_READ_BYTES = 512

#: The writer reads these as 32-bit integers.
MAX_INT32 = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class WriterRun:
    """What the writer must know of a run.

    Attributes:
        output_file: the file that it writes.
        run_id: number of the run.
        n_images: how many images the file gets.
        detector_name: name of the detector.
        user_id: whose file it is.
        status: free.
    """

    output_file: str
    run_id: int
    n_images: int
    detector_name: str
    user_id: int = 0
    status: int = 0


def rewrite(header: Mapping[str, Any], run: WriterRun, index: int) -> bytes:
    """Return *header* as the writer reads it, without spaces; keys that it has keep their place.

    Args:
        header: the keys of the frame's own header.
        run: what the writer must know.
        index: how many frames it got before this one in its run.

    Raises:
        HeaderValueWrong: ``image_attributes`` is there and not an object.
    """
    attributes = header.get("image_attributes", {})
    if not isinstance(attributes, dict):
        raise HeaderValueWrong("image_attributes", repr(attributes)[:75], "an object")
    keys = {
        **header,
        "image_attributes": {**cast("dict[str, Any]", attributes), "image_number": index},
        "frame": index,
        "output_file": run.output_file,
        "detector_name": run.detector_name,
        "run_id": run.run_id,
        "n_images": run.n_images,
        "user_id": run.user_id,
        "status": run.status,
        "i_image": index,
    }
    return json.dumps(keys, separators=(",", ":")).encode()
