import subprocess
import sys

import pytest

from rawdaq import receivers
from tests.helpers import environment


def test_every_receiver_can_be_imported_by_name() -> None:
    assert [getattr(receivers, name).__name__ for name in receivers.__all__] == receivers.__all__
    assert set(receivers.__all__) <= set(dir(receivers))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'rawdaq\.receivers' has no attribute 'Nobody'"):
        _ = receivers.__getattr__("Nobody")


def test_naming_one_does_not_load_the_others() -> None:
    code = (
        "from rawdaq.receivers import ReceiverMonSender; import sys; print('rawdaq.receivers.raw_tcp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"
