"""``rawdaq-dump``: shows a live stream, or files, as lines, JSON or a table, and writes it as miniSEED or a picture.

It ends after ``--count`` or ``--seconds``, on Ctrl-C, at the end of the files, or when the reader of its output closes
it. The exit status is 0 then, or 1 when nothing came. Totals, lost messages and skipped files are reported on stderr:
stdout has only data.
"""

import errno
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rawdaq.control.dump.messages.command import MessageOptions, check_alone, dump_messages, message_options
from rawdaq.control.handover import HandsOver, handover
from rawdaq.control.invocation import drop_output, refusing, version_option
from rawdaq.errors import InvalidValue, RawdaqError

# ZMQ, numpy and rich are imported where they are used, so that --help does not wait for them.
if TYPE_CHECKING:
    from rawdaq.control.dump.run import DumpRun, View
    from rawdaq.control.dump.servers import Server
    from rawdaq.subscriber import PacketReader, Subscriber


def _patterns(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    from rawdaq.stream_id import check_patterns

    try:
        check_patterns(value)
    except InvalidValue as error:
        raise click.BadParameter(str(error)) from error
    return value


@click.command(cls=HandsOver, context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-dump")
@handover(
    "--frames",
    "rawdaq.control.dump.frames_command:frames",
    "Consume frames of a detector or a repeater instead; --frames --help lists its options.",
)
@click.option(
    "--connect",
    "addresses",
    multiple=True,
    default=["tcp://127.0.0.1:9004"],
    show_default=True,
    metavar="ADDRESS",
    help="Publisher to connect to; repeatable. Or a server: seedlink://HOST[:PORT][/NET_STA:SELECT+SELECT,...], "
    "datalink://HOST[:PORT], datalinks://, ws://HOST[:PORT]/datalink, wss://, isi://HOST[:PORT][/NET/STA.CHN.LOC,...].",
)
@click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    help="Read a waveform file, a folder or a pattern like 'day/*.mseed' instead of a publisher; repeatable. Or the "
    "folder of a component's journal, alone.",
)
@click.option(
    "--stream",
    "streams",
    multiple=True,
    metavar="PATTERN",
    callback=_patterns,
    help="Streams to show, like 'XX.*.*.HH?'; repeatable.  [default: all]",
)
@click.option(
    "--info",
    "item",
    metavar="ITEM",
    help="Show what a server has instead: id, stations, streams, status, connections ..., of ISI soh, cnf and wfdisc.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N packets.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", help="End after S seconds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--samples", "with_samples", is_flag=True, help="Show the sample values too (in JSON, null for NaN).")
@click.option("--stats", "as_table", is_flag=True, help="Show a live table of the streams instead of their packets.")
@click.option(
    "--write",
    "record_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.mseed",
    help="Write miniSEED to a new file (an old one is replaced).",
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw what was received, at the end.",
)
@message_options
def main(
    addresses: tuple[str, ...],
    files: tuple[str, ...],
    streams: tuple[str, ...],
    item: str | None,
    count: int | None,
    seconds: float | None,
    as_json: bool,
    with_samples: bool,
    as_table: bool,
    record_file: Path | None,
    picture: Path | None,
    messages: MessageOptions,
) -> None:
    """Show the live stream of a receiver or a server, or the content of waveform files, one packet a line.

    A line has stream, first and last sample time, rate, samples, type, timing quality in percent (? when the device
    does not give one), sequence number, and latency: the clock of this machine minus the time of the last sample. In
    JSON gap_s is the time that is missing between a packet and the one before it in its stream, negative for an
    overlap. Files are shown in order of time, one record or trace a line, without latency; a journal in the order in
    which packets came. The exit status is 1 when nothing came.

    With --logs, --monitor, --events, --readouts or --telemetry, also several of them, it shows what is no waveform, by
    default from 127.0.0.1 and the ports 9001, 9005, 9002, 9004 and 9006, or of a journal with --from. Container files
    are shown by control-rawdaq container.
    """
    from rawdaq.control.dump.run import DumpRun
    from rawdaq.process.signals import stop_event

    is_chosen = click.get_current_context().get_parameter_source("addresses") is ParameterSource.COMMANDLINE
    written = {"write": record_file, "plot": picture}
    check_alone(messages, stream=streams, info=item, samples=with_samples, **written)
    if files and is_chosen:
        raise click.UsageError("--from reads files, --connect a publisher; choose one")
    if item is not None:  # a question ends by a signal as every program does
        with _reporting():
            return _show_info(addresses, item, as_json)
    with stop_event() as stop, _reporting():
        if messages.kinds:
            where = addresses if is_chosen else None
            if not dump_messages(messages, where, files, stop, count, seconds, as_json=as_json, as_table=as_table):
                sys.exit(1)
            return
        # First, because a file that is read must not be overwritten.
        opened = _open_files(files, streams, record_file, picture) if files else None
        views = [_view(as_json, with_samples, as_table), *_file_views(record_file, picture, is_live=not files)]
        run = DumpRun(views, stop, count, seconds)
        with opened or _live_reader(addresses, streams, run) as reader:
            run.run(reader)
        if not run.packets:
            sys.exit(1)


@contextmanager
def _reporting() -> Generator[None]:
    """Report what goes wrong in one line, and end with status 1; a reader of the output that closes it ends quietly."""
    from rawdaq.control.dump.run import report

    try:
        yield
    except BrokenPipeError:
        drop_output()
    except (RawdaqError, OSError) as error:
        report(_with_remedy(error) if isinstance(error, OSError) else str(error))
        sys.exit(1)


def _with_remedy(error: OSError) -> str:
    """Return the system's error, the file, and a remedy."""
    match error.errno:
        case errno.ENOENT:
            remedy = "make its folder, or choose another path"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = "choose a path that you may write to"
        case errno.ENOSPC | errno.EDQUOT:
            remedy = "make room on its disk"
        case _:
            remedy = "choose another path"
    return f"{error.filename or 'the output'}: {error.strerror or error}; {remedy}"


def _server(addresses: Sequence[str]) -> "Server | None":
    """Return how the one server of *addresses* is read, None when these are publishers."""
    from rawdaq.control.dump.servers import server_of

    servers = [server_of(address) for address in addresses]
    if any(servers) and len(addresses) > 1:
        raise click.UsageError("--connect takes one server, or any number of publishers")
    return servers[0]


def _show_info(addresses: Sequence[str], item: str, as_json: bool) -> None:
    """Print what a server says to INFO."""
    server = _server(addresses)
    if server is None:
        raise click.UsageError("--info asks a server: --connect seedlink://HOST:PORT, datalink:// or isi://")
    if item not in server.items:
        raise click.BadParameter(f"{item!r} is not one of {', '.join(server.items)}", param_hint="--info")
    with refusing("--connect"):
        lines = server.info(addresses[0], item, as_json)
    for line in lines:
        click.echo(line)


def _live_reader(addresses: Sequence[str], streams: Sequence[str], run: "DumpRun") -> "PacketReader":
    server = _server(addresses)
    if server is None:
        return _subscriber(addresses, streams, run)
    with refusing("--connect"):
        return server.reader(addresses[0], streams)


def _subscriber(addresses: Sequence[str], streams: Sequence[str], run: "DumpRun") -> "Subscriber":
    from rawdaq.subscriber import Subscriber

    subscriber = Subscriber(addresses, streams, on_loss=run.note_loss)
    with refusing("--connect"):
        subscriber.open()
    return subscriber


def _open_files(files: Sequence[str], streams: Sequence[str], *written: Path | None) -> "PacketReader":
    from rawdaq.control.dump.run import reporting_logger
    from rawdaq.journal.folder import is_journal
    from rawdaq.subscriber.files import FileSubscriber
    from rawdaq.subscriber.journal import JournalReader

    if any(is_journal(Path(each)) for each in files):
        if len(files) > 1:
            raise click.UsageError("a journal is read alone; give its folder to one --from")
        journal = JournalReader(files[0], streams, logger=reporting_logger())
        journal.open()
        return journal
    subscriber = FileSubscriber(files, streams, logger=reporting_logger())
    subscriber.open()
    read = {path.resolve() for path in subscriber.paths}
    for path in written:
        if path is not None and path.resolve() in read:
            raise click.UsageError(f"{path} is one of the files that are read; write another one")
    return subscriber


def _view(as_json: bool, with_samples: bool, as_table: bool) -> "View":
    from rawdaq.control.dump.stats import JsonTable, LiveTable, PlainTable
    from rawdaq.control.dump.views import JsonLines, TextLines

    if as_table and as_json:
        return JsonTable()
    if as_table:
        return LiveTable() if sys.stdout.isatty() else PlainTable()
    return JsonLines(with_samples) if as_json else TextLines(with_samples)


def _file_views(record_file: Path | None, picture: Path | None, *, is_live: bool) -> list["View"]:
    views: list[View] = []
    if picture is not None:
        from rawdaq.control.dump.files import Picture

        with refusing("--plot"):
            views.append(Picture(picture))
    if record_file is not None:  # last, because it replaces an old file
        from rawdaq.control.dump.files import MiniSeedFile

        views.append(MiniSeedFile(record_file, is_live))
    return views


if __name__ == "__main__":
    main()
