"""The component of a station file, as a process: ``python -m faults.component FILE [UNDO]``.

With UNDO, the name of a file, what is not synced can be taken back after a kill; see `faults.power`.
"""

import logging
import sys
from pathlib import Path

from faults import power
from rawdaq import config
from rawdaq.station import build


def main() -> None:
    """Run it until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if len(sys.argv) > 2:
        power.watch(Path(sys.argv[2]))
    (component,) = config.load(Path(sys.argv[1])).components
    build(component).run()


if __name__ == "__main__":
    main()
