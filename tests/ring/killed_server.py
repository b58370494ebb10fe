"""Serves a ring until it is killed: ``python -m tests.ring.killed_server``, a folder on each line of its input.

For each it prints the number of the process and the port that serves both protocols, then ``end`` when that process has
ended.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.ring.rings import serving

MAX_GB = 0.02


def tell(text: str) -> None:
    """Print a line with one call of the system."""
    os.write(1, f"{text}\n".encode())


async def serve(folder: Path) -> None:
    """Serve for ever."""
    async with serving(folder, max_gb=MAX_GB, sync_s=1.0) as publisher:
        tell(f"{os.getpid()} {publisher.service.ports['datalink']}")
        await asyncio.Event().wait()


def main() -> None:
    """Run one process after the other."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(serve(Path(line.strip())))
        os.waitpid(child, 0)
        tell("end")


if __name__ == "__main__":
    main()
