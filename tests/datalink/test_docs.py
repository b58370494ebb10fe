"""docs/datalink.md: its example runs, and every name in its table is there."""

import re

from rawdaq import datalink, times
from rawdaq.datalink import DataLink, DataPacket, Identity, WriteInterrupted
from tests.datalink_links import serving
from tests.helpers import ROOT

TEXT = (ROOT / "docs" / "datalink.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    with serving() as (server, url):
        code = code.replace("tcp://localhost:16000", url).replace(
            "        print(", "        if packet.packet_id == 3: break\n        print("
        )
        given = {"start_ns": 0, "end_ns": 1000, "record": b"x", "records": [("FDSN:XX_A/B", 0, 0, b"y")] * 2}
        exec(compile(code, "docs/datalink.md", "exec"), given)
        assert len(server.packets) == 3


def test_every_name_in_the_table_is_there() -> None:
    table = TEXT.partition("## From simpledali")[2].partition("## From dali2jsonl")[0]
    ours = [row.split("|")[2] for row in table.splitlines() if row.startswith("| `")]
    names = {name for cell in ours for name in re.findall(r"`\.?([a-z_A-Z]+)[(`]", cell)}
    known = {*dir(DataLink), *dir(DataPacket), *dir(datalink), *dir(times), *Identity.__annotations__}
    assert len(names) > 30
    assert names - known - {"len"} == set()
    assert WriteInterrupted([1], "x").packet_ids == [1]
