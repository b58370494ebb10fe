"""The header of the detector writer is that of the frame, and what the writer must know."""

import json

import pytest

from rawdaq.protocols.message_errors import HeaderValueWrong
from rawdaq.protocols.writer_header import MAX_READ_BYTES, WriterRun, rewrite

RUN = WriterRun("/data/run7.h5", 7, 100, "camera", user_id=3, status=1)


def test_known_keys_are_replaced_in_their_place_and_new_ones_stand_at_the_end() -> None:
    header = {
        "shape": [2, 3],
        "frame": 4711,
        "image_attributes": {"image_number": 4711, "image_is_complete": True},
        "run_id": "of the camera",
        "source": "bench",
    }
    assert rewrite(header, RUN, 5) == (
        b'{"shape":[2,3],"frame":5,"image_attributes":{"image_number":5,"image_is_complete":true},"run_id":7,'
        b'"source":"bench","output_file":"/data/run7.h5","detector_name":"camera","n_images":100,"user_id":3,'
        b'"status":1,"i_image":5}'
    )
    assert header["frame"] == 4711


def test_missing_attributes_are_made() -> None:
    assert json.loads(rewrite({"frame": 1}, WriterRun("f", 0, 1, "d"), 0)) == {
        "frame": 0,
        "image_attributes": {"image_number": 0},
        "output_file": "f",
        "detector_name": "d",
        "run_id": 0,
        "n_images": 1,
        "user_id": 0,
        "status": 0,
        "i_image": 0,
    }


def test_attributes_that_are_no_object_are_refused() -> None:
    with pytest.raises(HeaderValueWrong, match=r"'image_attributes' is \[1\], not an object"):
        rewrite({"frame": 1, "image_attributes": [1]}, RUN, 0)


def test_the_header_of_a_camera_fits_into_what_the_writer_reads() -> None:
    attributes = dict.fromkeys(
        (
            "scan_index",
            "trigger_signal",
            "image_number",
            "image_exposure_time",
            "enable_signal",
            "image_sync_time",
            "scan_datetime",
            "time_stamp",
        ),
        0,
    )
    header = {
        "frame": 1,
        "htype": ["array-1.0"],
        "type": "uint16",
        "shape": [2016, 2016],
        "image_attributes": attributes,
    }
    assert len(rewrite(header, WriterRun("/data/a.h5", 1, 1000, "camera"), 999)) <= MAX_READ_BYTES
