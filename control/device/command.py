"""``rawdaq-device``: a test device that speaks RAW and plays a real seismogram, a file or a sine."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rawdaq.control.handover import HandsOver, handover
from rawdaq.control.invocation import version_option
from rawdaq.errors import InvalidValue, RawdaqError
from rawdaq.times import NS_PER_S

# ObsPy and the streamer are imported where they are used, so that --help does not wait for them.
if TYPE_CHECKING:
    from rawdaq.control.device.signals import Programme
    from rawdaq.streamer import Streamer


def _speed(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return the factor that *value* names; infinity for ``max``."""
    try:
        speed = inf if value == "max" else float(value)
    except ValueError:
        speed = nan
    if not speed > 0:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor max", ctx, param)
    return speed


class _AboveZero(click.FloatRange):
    """A number above 0, which infinity and NaN are not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return *value* as a number."""
        number: float = super().convert(value, param, ctx)
        return number if isfinite(number) else self.fail(f"{value} is not a finite number above 0.", param, ctx)


_ABOVE_ZERO = _AboveZero(min=0, min_open=True)


def _simulates(flag: str, help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator for an option of the simulator."""
    return handover(flag, "rawdaq.control.device.simulation_command:simulate", help_text, keeps_word=True)


@click.command(cls=HandsOver, context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-device")
@handover(
    "--frames",
    "rawdaq.control.device.frames_command:frames",
    "Be a detector that sends frames by ZMQ instead; --frames --help lists its options.",
)
@_simulates("--plan", "Be several devices of other kinds, with faults, as a YAML file says; --plan --help lists all.")
@_simulates("--readouts", "Send readouts of many senders to a ReadoutAssembler.")
@_simulates("--events", "Send events to a TriggerReceiver.")
@_simulates("--times", "Send times to a TimestampReceiver.")
@_simulates("--logs", "Send log records to a LogReceiver.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=65535, show_default=True, help="0: any free one, which is printed."
)
@click.option("--udp", "target", metavar="HOST:PORT", help="Push datagrams there, instead of serving clients.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="Waveform file to play, of any kind ObsPy reads.")
@click.option("--sine", "sine_hz", type=_ABOVE_ZERO, metavar="HZ", help="Play a sine of this frequency.")
@click.option(
    "--replay",
    "capture",
    type=click.Path(path_type=Path),
    help="Play what a receiver captured (its option `capture`): the bytes, pauses and ends of the device, once.",
)
@click.option(
    "--rate", "rate_hz", type=_ABOVE_ZERO, metavar="HZ", help="Sampling rate.  [default: the file's; sine: 100]"
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="ID[:TYPE[:ORDER[:RATE]]]",
    help="Channel to serve, like 1 or 1,2,3:int16:big or 7:float64:little:62.5; repeatable.  [default: one int32 "
    "little channel for each stream of the file]",
)
@click.option("--packet-s", type=_ABOVE_ZERO, default=1.0, show_default=True, help="Length of a packet.")
@click.option(
    "--speed",
    default="1",
    show_default=True,
    callback=_speed,
    metavar="FACTOR|max",
    help="Data seconds a second, or max.",
)
@click.option(
    "--loop/--once",
    default=True,
    show_default=True,
    help="Play for ever, without a gap in time, or once.",
)
@click.option(
    "--time",
    "epoch",
    type=click.Choice(["now", "original"]),
    default="now",
    show_default=True,
    help="Times of the samples: from now on, or those of the file.",
)
@click.option("--seconds", type=_ABOVE_ZERO, help="End after so much data.")
@click.option(
    "--wait-client/--no-wait-client",
    default=None,
    help="Begin when the first client asks for samples.  [default: with --once, --seconds or --speed max]",
)
def main(
    host: str,
    port: int,
    target: str | None,
    path: Path | None,
    sine_hz: float | None,
    capture: Path | None,
    rate_hz: float | None,
    channels: tuple[str, ...],
    packet_s: float,
    speed: float,
    loop: bool,
    epoch: str,
    seconds: float | None,
    wait_client: bool | None,
) -> None:
    """Serve a seismogram as a digitizer does, by the RAW protocol: in real time, or faster; or push it by UDP.

    Without options it plays the earthquake that comes with ObsPy on channels 1, 2 and 3, for ever. Samples that do not
    fit a channel's type are scaled: the largest becomes half of the type's range (of 24 bits for int32).
    """
    if capture is not None:
        return _replay(capture, host, port, target, speed)
    if sine_hz is not None and (path is not None or not loop or epoch == "original"):
        raise click.UsageError("--sine has no --file, no end (--once; use --seconds) and no --time original")
    if target is not None:
        _check_udp(speed, wait_client)
    from rawdaq.control.device.player import Player
    from rawdaq.process.signals import stop_event

    if wait_client is None:
        wait_client = not loop or seconds is not None or speed == inf
    with _usage_errors():
        programme = _programme(path, sine_hz, channels, rate_hz, loop)
        if target is not None:
            return _push(programme, target, speed, packet_s, seconds, epoch)
        with stop_event() as stop, _streamer(programme, host, port) as streamer:
            _announce(programme, "serving {}, on {}:{}".format(programme.title, *streamer.address))
            player = Player(streamer, None if speed == inf else speed, stop)
            if wait_client:
                player.wait_for_client()
            player.play(programme.blocks(packet_s, seconds), *_start_time(programme, epoch))
            player.drain()
    counters = streamer.counters
    click.echo(
        f"played {player.packets} packets, {player.samples} samples; "
        f"clients: {counters.clients_started}, packets without a client: {counters.unheard_packets}"
    )


def _check_udp(speed: float, wait_client: bool | None) -> None:
    context = click.get_current_context()
    for name in ("host", "port"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--udp does not listen: leave out --{name}")
    if speed == inf or wait_client:
        raise click.UsageError("--udp gets no answers: it has no --speed max and no --wait-client")


def _push(
    programme: "Programme", target: str, speed: float, packet_s: float, seconds: float | None, epoch: str
) -> None:
    from rawdaq.control.device.player import Player
    from rawdaq.control.device.udp import UdpSink, streamer_of
    from rawdaq.process.log import configure
    from rawdaq.process.signals import stop_event

    configure("INFO")
    with stop_event() as stop, streamer_of(programme, target) as streamer:
        _announce(programme, f"pushing {programme.title}, to {streamer.address}")
        sink = UdpSink(streamer)
        player = Player(sink, speed, stop)
        player.play(programme.blocks(packet_s, seconds), *_start_time(programme, epoch))
    click.echo(f"played {player.packets} packets, {player.samples} samples; {sink.summary()}")


def _replay(capture: Path, host: str, port: int, target: str | None, speed: float) -> None:
    from rawdaq.control.device.replay import replay
    from rawdaq.control.device.udp import parse_address
    from rawdaq.process.log import configure
    from rawdaq.process.signals import stop_event

    context = click.get_current_context()
    for option in context.command.params:
        is_given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if is_given and option.name not in ("capture", "host", "port", "target", "speed"):
            raise click.UsageError(f"--replay plays what was captured: leave out {option.opts[0]}")
    configure("INFO")
    with _usage_errors(), stop_event() as stop:
        udp = None if target is None else parse_address(target)
        click.echo(replay(capture, (host, port), udp, None if speed == inf else speed, stop, click.echo))


def _programme(
    path: Path | None, sine_hz: float | None, channels: tuple[str, ...], rate_hz: float | None, loop: bool
) -> "Programme":
    from rawdaq.control.device.signals import file_programme, parse_channels, sine_programme

    specs = parse_channels(channels)
    return file_programme(path, specs, rate_hz, loop) if sine_hz is None else sine_programme(sine_hz, specs, rate_hz)


def _streamer(programme: "Programme", host: str, port: int) -> "Streamer":
    from rawdaq.process.log import configure
    from rawdaq.streamer import Streamer

    configure("INFO")  # clients that connect and leave, on stderr
    return Streamer(programme.channels(), host, port)


def _announce(programme: "Programme", first_line: str) -> None:
    from rawdaq.packet import rate_text

    click.echo(first_line)
    for track in programme.tracks:
        channel, rate = track.channel, rate_text(track.rate_hz)
        click.echo(f"  channel {channel.id:<5} {rate} Hz {channel.sample_type} {channel.endianness}  {track.name}")


def _start_time(programme: "Programme", epoch: str) -> tuple[int, int]:
    """Return the time of the first sample, and how long ago that was.

    From now on means from the second that has just begun, so that packets begin at whole seconds.
    """
    if epoch == "original" and programme.begin_ns is not None:
        return programme.begin_ns, 0
    now_ns = time.time_ns()
    return now_ns - now_ns % NS_PER_S, now_ns % NS_PER_S


@contextmanager
def _usage_errors() -> Generator[None]:
    """Turn our errors into one line and an exit status: 2 for wrong usage, else 1."""
    try:
        yield
    except InvalidValue as error:
        raise click.UsageError(str(error)) from error
    except RawdaqError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
