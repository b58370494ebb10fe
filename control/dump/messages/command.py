"""``rawdaq-dump --logs --monitor --events --readouts --telemetry``: the options, and what they start."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rawdaq.control.invocation import refusing

if TYPE_CHECKING:
    import threading

    from rawdaq.control.dump.messages.run import MessageRun, MessageView
    from rawdaq.messages.message import Kind
    from rawdaq.subscriber import MessageSubscriber
    from rawdaq.subscriber.journal_messages import JournalMessages

#: The options that show messages, with the kind and the help of each.
KINDS = {
    "logs": ("log", "Show log records, of a LogReceiver."),
    "monitor": ("monitor", "Show reports of components, of a MonitorReceiver."),
    "events": ("event", "Show events: triggers, time stamps, onsets."),
    "readouts": ("readout", "Show readouts, of a ReadoutAssembler."),
    "telemetry": ("telemetry", "Show values that a TelemetryReceiver asked for."),
}


class MessageOptions(NamedTuple):
    """What the options of messages say.

    Attributes:
        kinds: what is shown; none: waveforms.
        level: the least severe log records.
        names: patterns of loggers and components.
        slot: whose values are shown of readouts.
    """

    kinds: Sequence[str]
    level: int
    names: Sequence[str]
    slot: int | None


def message_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of messages to a command, which gets them as ``messages``."""

    def with_options(**given: Any) -> Any:
        kinds = [kind for option, (kind, _) in KINDS.items() if given.pop(option)]
        options = MessageOptions(kinds, given.pop("level"), given.pop("names"), given.pop("slot"))
        return command(**given, messages=options)

    with_options.__doc__ = command.__doc__
    with_options.__name__ = command.__name__
    with_options.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    decorated: Callable[..., Any] = with_options
    decorated = click.option(
        "--slot", type=click.IntRange(min=0), metavar="N", help="Of readouts, show the values of this slot."
    )(decorated)
    decorated = click.option(
        "--name",
        "names",
        multiple=True,
        metavar="PATTERN",
        help="Of messages, show those of loggers and components with such a name, like 'XX.*'; repeatable.",
    )(decorated)
    decorated = click.option(
        "--level", default="0", metavar="LEVEL", callback=_level, help="Of log records, show these and worse ones."
    )(decorated)
    for option, (_, text) in reversed(KINDS.items()):
        decorated = click.option(f"--{option}", is_flag=True, help=text)(decorated)
    return decorated


def _level(context: click.Context, option: click.Parameter, value: str) -> int:
    from rawdaq.control.dump.messages.run import level_of

    try:
        return level_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def check_alone(options: MessageOptions, **others: object) -> None:
    """Refuse options of messages without a kind, and options of waveforms with one.

    Raises:
        click.UsageError: the text names them.
    """
    if not options.kinds:
        for option, is_given in (("--level", options.level), ("--name", options.names), ("--slot", options.slot)):
            if is_given or (is_given == 0 and option == "--slot"):
                raise click.UsageError(f"{option} is about messages: add --logs, --monitor, --events or --readouts")
        return
    wrong = [f"--{name}" for name, is_given in others.items() if is_given]
    if wrong:
        raise click.UsageError(f"{', '.join(wrong)} and messages do not go together; they are about waveforms")


def dump_messages(
    options: MessageOptions,
    addresses: Sequence[str] | None,
    files: Sequence[str],
    stop: "threading.Event",
    count: int | None,
    seconds: float | None,
    *,
    as_json: bool,
    as_table: bool,
) -> bool:
    """Show messages until a limit or *stop*; return whether any came.

    Args:
        options: which, and how.
        addresses: of publishers; None: where components usually publish them.
        files: the folder of a journal to read instead.
        stop: ends it.
        count: end after so many.
        seconds: end after so long.
        as_json: one JSON object a line.
        as_table: counters instead of messages.
    """
    from rawdaq.control.dump.messages.run import MessageRun
    from rawdaq.messages.message import Kind

    kinds = [Kind(kind) for kind in options.kinds]
    run = MessageRun(_view(options.slot, as_json, as_table), stop, options.names, options.level, count, seconds)
    reader = _stored(files, kinds) if files else _live(addresses, kinds, run)
    with reader:
        run.run(reader)
    return run.shown > 0


def _live(addresses: Sequence[str] | None, kinds: "Sequence[Kind]", run: "MessageRun") -> "MessageSubscriber":
    from rawdaq.control.dump.messages.run import addresses_of
    from rawdaq.subscriber import MessageSubscriber

    with refusing("--connect"):
        reader = MessageSubscriber(addresses or addresses_of(kinds), kinds, on_loss=run.note_loss)
        reader.open()
    return reader


def _stored(files: Sequence[str], kinds: "Sequence[Kind]") -> "JournalMessages":
    from rawdaq.control.dump.run import reporting_logger
    from rawdaq.subscriber.journal_messages import JournalMessages

    if len(files) > 1:
        raise click.UsageError("messages are read from one journal; give its folder to one --from")
    reader = JournalMessages(files[0], kinds, logger=reporting_logger())
    reader.open()
    return reader


def _view(slot: int | None, as_json: bool, as_table: bool) -> "MessageView":
    from rawdaq.control.dump.messages.lines import JsonLines, TextLines
    from rawdaq.control.dump.messages.table import MessageTable

    is_terminal = sys.stdout.isatty()
    if as_table:
        return MessageTable(is_json=as_json, is_live=is_terminal)
    if as_json:
        return JsonLines(slot)
    return TextLines(is_terminal and not os.environ.get("NO_COLOR"), slot)
