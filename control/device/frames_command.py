"""``rawdaq-device --frames``: a fake detector, with the options of the original's script and ours."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawdaq.control.invocation import version_option
from rawdaq.errors import InvalidValue, RawdaqError

if TYPE_CHECKING:
    from rawdaq.control.device.frames import Image


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> frozenset[int]:
    try:
        return frozenset(int(word) for word in value.split(",")) if value else frozenset()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of frame numbers, like 3,17", context, option) from None


def _shape(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(word) for word in value.lower().split("x"))
    except ValueError:
        shape = (-1,)
    if min(shape) < 0:
        raise click.BadParameter(f"{value!r} is not a shape, like 2016x2016", context, option)
    return shape


@click.command("rawdaq-device --frames", context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-device")
@click.option("-a", "--address", default="tcp://127.0.0.1:9609", show_default=True, help="Where it binds; * for all.")
@click.option("--connect", is_flag=True, help="Connect to that address instead.")
@click.option(
    "-m", "--mode", type=click.Choice(["push", "pub"], case_sensitive=False), default="push", show_default=True
)
@click.option(
    "-f",
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Frames to send again and again: .npy, or pairs NAME_000.raw (JSON header), NAME_001.raw (data).",
)
@click.option("-i", "--n-images", type=click.IntRange(min=0), default=100, show_default=True, help="0: without end.")
@click.option("--rate", "rate_hz", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True)
@click.option("--max", "is_fast", is_flag=True, help="As fast as consumers take them.")
@click.option("--shape", default="480x640", show_default=True, callback=_shape, help="Of made-up frames.")
@click.option("--type", "dtype", default="uint16", show_default=True, help="Of their elements, by numpy's name.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["file", "gf", "TestMetadata"], case_sensitive=False),
    default="file",
    show_default=True,
    help="Form of the header: JSON, or seven numbers.",
)
@click.option("--minimal", is_flag=True, help="JSON headers with nothing but the frame number.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first frame number.")
@click.option("--lose", callback=_numbers, metavar="N,N...", help="Frames that are not sent.")
@click.option("--swap", callback=_numbers, metavar="N,N...", help="Frames that change places with the next one.")
@click.option("--duplicate", callback=_numbers, metavar="N,N...", help="Frames that are sent twice.")
@click.option("--restart-after", type=click.IntRange(min=0), default=0, help="Begin with the first number again.")
@click.option("--malformed", type=click.IntRange(min=0), default=0, help="A message that is no frame after each Nth.")
@click.option("--no-wait", is_flag=True, help="Begin before the first consumer is there.")
def frames(
    address: str,
    connect: bool,
    mode: str,
    folder: Path | None,
    n_images: int,
    rate_hz: float,
    is_fast: bool,
    shape: tuple[int, ...],
    dtype: str,
    form: str,
    minimal: bool,
    first: int,
    lose: frozenset[int],
    swap: frozenset[int],
    duplicate: frozenset[int],
    restart_after: int,
    malformed: int,
    no_wait: bool,
) -> None:
    """Be a detector: send frames with a header and data in a ZMQ message each.

    It begins when the first consumer is there. What goes wrong on request, such as --lose 5,6, shows what consumers
    make of it.
    """
    from rawdaq.control.device.frames import Detector, Faults, from_folder, header, made_up, sent_numbers
    from rawdaq.process.signals import stop_event
    from rawdaq.protocols.array import HeaderForm

    faults = Faults(lose, swap, duplicate, restart_after, malformed)
    kind = HeaderForm(form)
    try:
        images = made_up(shape, dtype) if folder is None else from_folder(folder)
        with stop_event() as stop, Detector(address, mode, connect, stop) as detector:
            click.echo(f"frames from {detector.address}")
            if not no_wait:
                detector.wait_for_consumer()
            began_s = time.monotonic()

            def numbered(image: "Image", number: int) -> bytes:
                return header(image, number, kind, is_minimal=minimal, now_ns=time.time_ns())

            rate = None if is_fast else rate_hz
            detector.play(sent_numbers(first, n_images, faults), images, numbered, rate, malformed)
            elapsed_s = time.monotonic() - began_s
    except (InvalidValue, ValueError) as error:
        raise click.UsageError(str(error)) from error
    except RawdaqError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"sent {detector.frames} frames, {detector.size_bytes / 1e6:.3f} MB in {elapsed_s:.3f} s")
