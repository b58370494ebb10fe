"""A feed for each test that wants one."""

from collections.abc import Iterator

import pytest

from tests.subscriber.feeds import Feed


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.close()
