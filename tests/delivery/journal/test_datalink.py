"""DataLinkPublisher behind a journal: a server gets every sample, also those of half-filled records, after a kill."""

import asyncio
import io
from pathlib import Path
from typing import Any

import obspy
import pytest

from rawdaq.publishers.datalink import DataLinkPublisher
from tests.datalink_links import serving
from tests.journals import delivered, journalled
from tests.makers import packet


@pytest.mark.parametrize("is_settled", [True, False])
async def test_a_server_gets_every_sample_after_a_kill(tmp_path: Path, is_settled: bool) -> None:
    with serving(capacity=100_000) as (server, url):
        url = url.replace("tcp://", "datalink://")
        first = DataLinkPublisher(url, flush_after_s=60.0)
        async with journalled(tmp_path, [first], is_killed=True) as fanout:
            fanout.put([packet(index) for index in range(40)])
            await delivered(fanout)
            assert fanout.journal is not None
            if is_settled:
                await fanout.journal.settle()
                await asyncio.to_thread(fanout.journal.store.store.sync)  # before the kill
        await first.aclose()
        assert 0 < len(server.packets) < 20
        async with journalled(tmp_path, [DataLinkPublisher(url, flush_after_s=60.0)]) as fanout:
            fanout.put([packet(index) for index in range(40, 50)])
        records: list[Any] = [obspy.read(io.BytesIO(each.data), format="MSEED")[0] for each in server.packets]
    values = [value for record in records for value in record.data.tolist()]
    assert sorted(set(values)) == list(range(5000))
    if is_settled:  # the cursor is behind the last record; the server is not asked what it has
        assert len(values) == 5000
