"""``python -m rawdaq`` shows the commands; words after it are for ``control-rawdaq``, which then runs."""

import sys
from typing import Final, NoReturn

#: The commands, and what each is for.
COMMANDS: Final = {
    "control-rawdaq": "start, stop and ask components; check and describe station files",
    "rawdaq-dump": "show, store or draw a live stream, or files",
    "rawdaq-device": "a digitizer to try things with",
    "rawdaq-plugin": "a plugin of SeisComP's SeedLink server",
    "rawdaq-jsonl": "archive the JSON packets of a DataLink server",
}


def main() -> NoReturn:
    """Run the command line of this process."""
    words = sys.argv[1:]
    if not words:
        print("The commands of rawdaq; each has --help and --version:\n")
        for name, what in COMMANDS.items():
            print(f"  {name:16}{what}")
        print("\npython -m rawdaq WORDS is the same as control-rawdaq WORDS.")
        sys.exit(0)
    from rawdaq.control.cli import run

    sys.exit(run(words))


if __name__ == "__main__":
    main()
