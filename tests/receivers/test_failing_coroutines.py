"""A coroutine of LogReceiver or MonitorReceiver that fails ends the component, which says which one and why."""

from typing import Any

import pytest

from rawdaq.errors import ComponentError
from rawdaq.receivers.logs import LogReceiver
from rawdaq.receivers.monitor import MonitorReceiver

CASES = [
    (cls, name)
    for cls in (LogReceiver, MonitorReceiver)
    for name in dir(cls)
    if name.startswith("ct_") and name in vars(cls)
]


@pytest.mark.parametrize(("cls", "name"), CASES, ids=lambda case: getattr(case, "__name__", case))
async def test_the_component_ends_with_the_reason(cls: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: object) -> None:
        raise RuntimeError("made to fail")

    monkeypatch.setattr(cls, name, fail)
    with pytest.raises(ComponentError, match=f"stopped: .*{name}.*made to fail"):
        await cls([], port=0).serve()
