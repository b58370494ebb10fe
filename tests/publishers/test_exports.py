"""Every publisher can be imported from rawdaq.publishers by name, and brings only what it needs."""

import subprocess
import sys

import pytest

import rawdaq.publishers
from rawdaq.publisher import Publisher
from tests.helpers import environment


@pytest.mark.parametrize("name", rawdaq.publishers.__all__)
def test_publisher_has_its_name_here(name: str) -> None:
    cls = getattr(rawdaq.publishers, name)
    assert issubclass(cls, Publisher)
    assert cls.__name__ == name
    assert name in dir(rawdaq.publishers)


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'KafkaPublisher'"):
        _ = rawdaq.publishers.KafkaPublisher


def test_importing_one_publisher_does_not_load_the_others() -> None:
    code = (
        "import sys; from rawdaq.publishers import RawWriter; "
        "print(*[name for name in sys.modules if name.startswith('rawdaq.publishers.')], 'zmq' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    *loaded, has_zmq = result.stdout.split()
    assert {name.split(".")[2] for name in loaded} == {"raw_writer"}
    assert has_zmq == "False"
