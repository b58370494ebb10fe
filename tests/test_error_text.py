"""Errors whose text stands above their fields."""

import pytest

from rawdaq.errors import RawdaqError, error_text


def test_a_text_with_a_field_that_the_class_lacks_is_found_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="Full has no sise"):

        @error_text("{sise.real} of {limit:g} bytes")
        class Full(RawdaqError):
            size: int
            limit: float
