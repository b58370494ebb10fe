"""The end of publishers: each closes in time or is given up, and what went wrong is logged."""

import asyncio
import logging
from collections.abc import Sequence

from rawdaq.errors import ComponentError
from rawdaq.publisher import Publisher

_LATE_S = 0.5  # by which a publisher that observes `Publisher.close_timeout_s` may exceed it, and still say why


async def close_publishers(publishers: Sequence[Publisher], within_s: float, log: logging.Logger) -> list[str | None]:
    """Close *publishers* side by side, so that one that hangs takes the time of no other; return what went wrong."""
    return await asyncio.gather(*(_close(publisher, within_s, log) for publisher in publishers))


async def _close(publisher: Publisher, within_s: float, log: logging.Logger) -> str | None:
    """Close *publisher* within *within_s*; return what went wrong, which is logged, or None."""
    unforeseen: Exception | None = None
    publisher.close_timeout_s = within_s
    try:
        async with asyncio.timeout(within_s + _LATE_S):
            await publisher.aclose()
        return None
    except ComponentError as error:
        reason = f": {error}"
    except TimeoutError:
        reason = f" did not close within {round(within_s, 2):g} s; Daemon.stop_timeout_s gives it longer"
    except Exception as error:
        reason, unforeseen = " did not close", error
    failure = f"publisher {publisher.name}{reason}"
    log.error("%s", failure, exc_info=unforeseen)
    return failure
