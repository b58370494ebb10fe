"""What a dump says of simulated events is what was sent: the truth of the simulator."""

import time
from typing import Any

import yaml

from rawdaq.control.dump.messages.table import MessageTable
from rawdaq.control.dump.messages.values import Shown, value_of
from rawdaq.events.settings import LayoutSettings
from rawdaq.receivers.simulator.faults import Fault
from rawdaq.receivers.simulator.plan import SourceSettings
from rawdaq.receivers.simulator.simulation import Simulation
from rawdaq.receivers.trigger import TriggerReceiver
from rawdaq.times import NS_PER_S
from tests.event_receivers import receiving, send_datagrams
from tests.helpers import until

LAYOUT = yaml.safe_load("{fields: [magic u16 = 0xCAFE, source u8, count u32, t u64]}")


def numbers(text: str) -> list[int]:
    ends = [[int(end) for end in word.split("-")] for word in text.split(",") if word]
    return [number for each in ends for number in range(each[0], each[-1] + 1)]


async def test_missed_and_backwards_are_the_faults_of_the_simulator() -> None:
    source = SourceSettings(
        kind="events",
        to="127.0.0.1:9",
        senders=3,
        first_address="127.0.1.1",
        rate_hz=100,
        layout=LayoutSettings.model_validate(LAYOUT),
        values={"source": "slot", "count": "number", "t": "time_ns"},
    )
    faults = [Fault(loss=0.1), Fault(clock_step_s=-1.0, at_s=2.5, slot=1)]
    simulation = Simulation({"boards": source}, faults, 3, 5 * NS_PER_S)
    simulation.begin(time.time_ns())
    sent = [each for second in range(7) for each in simulation.take(second * NS_PER_S)]
    sent += simulation.rest(7 * NS_PER_S)
    told = {
        "layout": LAYOUT,
        "counter": "count",
        "source": "source",
        "time": {"field": "t", "unit": "ns", "origin": "utc"},
    }
    async with receiving(TriggerReceiver, port=0, name="Boards", **told) as (receiver, keeper):
        for begin in range(0, len(sent), 100):
            for each in sent[begin : begin + 100]:
                send_datagrams(receiver, each.data, source=f"127.0.1.{1 + each.slot}")
            await until(lambda: len(keeper.messages) == min(begin + 100, len(sent)))  # noqa: B023 - at once
    truth = [numbers(str(row["sent"])) for row in simulation.truth()]
    missed = sum(each[-1] + 1 - each[0] - len(each) for each in truth)
    table = MessageTable(is_json=True, is_live=False)
    for message in keeper.messages:
        table.show(Shown(message, value_of(message), 0, 0))
    rows: list[Any] = table._rows()
    assert len(sent) == sum(map(len, truth)) == sum(row[3] for row in rows)
    assert missed > 100
    assert sum(row[6] for row in rows) == missed
