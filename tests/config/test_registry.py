import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawdaq.config import registry
from rawdaq.errors import ComponentError
from tests import outside


@pytest.fixture(autouse=True)
def _outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        outside.install(tmp_path, patch)
        yield
    outside.forget()


def test_classes_of_an_outside_package_are_found_by_name() -> None:
    assert registry.installed_class("receiver", "OutsideReceiver").__name__ == "OutsideReceiver"
    assert registry.installed_class("publisher", "OutsidePublisher").__name__ == "OutsidePublisher"
    assert {"OutsideReceiver", "Broken"} <= set(registry.installed_names("receiver"))
    assert "OutsidePublisher" in registry.installed_names("publisher")


def test_an_unknown_name_is_answered_with_the_closest_and_all_names() -> None:
    with pytest.raises(registry.UnknownClass) as caught:
        registry.installed_class("receiver", "OutsideReciever")
    text = str(caught.value)
    assert "no receiver is called 'OutsideReciever'; did you mean 'OutsideReceiver'?" in text
    assert all(name in text for name in registry.installed_names("receiver"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_a_publisher_is_no_receiver() -> None:
    with pytest.raises(registry.UnknownClass, match="no publisher is called 'OutsideReceiver'"):
        registry.installed_class("publisher", "OutsideReceiver")


def test_a_name_in_another_case_is_recognised() -> None:
    assert (
        registry.suggestion("RAWRECEIVER", ("RawReceiver", "X")) == "did you mean 'RawReceiver'? known: RawReceiver, X"
    )


def test_nothing_known_is_said_so() -> None:
    assert registry.suggestion("x", ()) == "known: none"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Broken", "ModuleNotFoundError"), ("Missing", "AttributeError"), ("NoClass", "is not a class")],
)
def test_an_installed_class_that_cannot_be_used_is_not_an_unknown_name(name: str, reason: str) -> None:
    with pytest.raises(ComponentError, match=f"receiver {name}: .*{reason}.*reinstall the package 'rawdaq.outside'"):
        registry.installed_class("receiver", name)
