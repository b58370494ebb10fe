"""Commands that hand over to another one when its flag is given: ``rawdaq-dump --frames`` has options of its own."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class HandsOver(click.Command):
    """A command whose flag, wherever it stands, means another command."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run this command, or the other one."""
        words = list(sys.argv[1:] if args is None else args)
        for option in self.params:
            if isinstance(option, _Flag) and option.opts[0] in words:
                program = prog_name or Path(sys.argv[0]).name
                if option.keeps_word:
                    return option.load().main(words, program, **extra)
                words.remove(option.opts[0])
                return option.load().main(words, f"{program} {option.opts[0]}", **extra)
        return super().main(words, prog_name, **extra)


class _Flag(click.Option):
    """The flag that means another command."""

    other = ""
    keeps_word = False

    def load(self) -> click.Command:
        """Return that command."""
        module, _, name = self.other.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def handover(flag: str, other: str, help_text: str, *, keeps_word: bool = False) -> Callable[[F], F]:
    """Give a command *flag*, which hands over to *other*, such as ``rawdaq.control.dump.frames_command:frames``.

    With *keeps_word* the flag is an option of the other command, too.
    """
    kind = type("Handover", (_Flag,), {"other": other, "keeps_word": keeps_word})
    return click.option(flag, is_flag=True, expose_value=False, cls=kind, help=help_text)
