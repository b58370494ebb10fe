"""``rawdaq-device --plan FILE`` and its kin: devices that send readouts, events, times or logs, with faults."""

from pathlib import Path
from typing import Any, cast

import click

from rawdaq.control.invocation import version_option
from rawdaq.errors import InvalidValue, RawdaqError


def _faults(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> list[dict[str, Any]]:
    from rawdaq.config.yaml_values import value_of

    found: list[dict[str, Any]] = []
    for text in words:
        pairs = [word.partition("=") for word in text.split()]
        if not pairs or not all(equals for _, equals, _ in pairs):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE such as 'loss=0.01 slot=3'", context, option)
        try:
            found.append({key: value_of(value) for key, _, value in pairs})
        except InvalidValue as error:
            raise click.BadParameter(str(error), context, option) from error
    return found


def _layout(context: click.Context, option: click.Parameter, path: Path | None) -> dict[str, Any]:
    """Return `layout` and `values` of the file that describes events."""
    if path is None:
        return {}
    from rawdaq.config.yaml_values import read

    document = read(path)
    if document.problems or not isinstance(document.root, dict):
        reason = "; ".join(map(str, document.problems)) or f"{path}: should be a mapping with `layout`"
        raise click.BadParameter(reason, context, option)
    root = cast("dict[str, Any]", document.root)
    return {key: value for key, value in root.items() if key in ("layout", "values")}


@click.command("rawdaq-device", context_settings={"help_option_names": ["-h", "--help"]})
@version_option("rawdaq-device")
@click.option("--plan", type=click.Path(path_type=Path), help="YAML file of several sources, and of faults.")
@click.option("--readouts", "kind", flag_value="readouts", help="Send readouts.")
@click.option(
    "--events",
    "events",
    type=click.Path(path_type=Path),
    callback=_layout,
    metavar="FILE",
    help="Send events of the layout in a YAML file: `layout` as TriggerReceiver has it, and `values`, a formula of "
    "slot, number and time_ns for each field.",
)
@click.option("--times", "times", type=click.Choice(["nmea"]), help="Send times as a GNSS receiver does.")
@click.option("--logs", "kind", flag_value="logs", help="Send log records to a LogReceiver.")
@click.option("--to", metavar="HOST:PORT", help="Where to.  [default: 127.0.0.1:17000]")
@click.option("--senders", type=click.IntRange(min=1), help="How many there are.  [default: 1]")
@click.option("--from", "first_address", metavar="ADDRESS", help="Of the first sender; others have those that follow.")
@click.option("--rate", "rate_hz", type=float, metavar="HZ", help="Of each sender.  [default: 10]")
@click.option("--per-packet", type=click.IntRange(min=1), help="Readouts in a message.  [default: 1]")
@click.option("--values", help="Of readouts: walk, sine, noise, or a formula such as 'slot * 100 + channel'.")
@click.option("--format", "form", help="Of readouts, with options as YAML, such as '{raw: {samples: 10}}'.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="WORDS",
    help="What goes wrong: at_s, for_s, slot, loss, duplicate, reorder, depth, delay_s, jitter_s, short, garbage, "
    "burst, freeze, clock_step_s, clock_reset, drift_ppm, such as 'loss=0.01 at_s=5'; repeatable.",
)
@click.option("--seed", type=int, help="Another one gives other values and faults.  [default: 0]")
@click.option("--seconds", type=float, help="How long.  [default: until it is stopped]")
@click.option("--truth", type=click.Path(path_type=Path), help="File that gets what was really sent.")
@click.option("--name", default="Sim", show_default=True, help="By which control-rawdaq send finds it.")
def simulate(plan: Path | None, name: str, **given: Any) -> None:
    """Be many devices that send what other receivers than RAW take.

    Runs until Ctrl-C or for --seconds. Meanwhile `control-rawdaq send Sim rate 200`, `fault loss=0.1`, `pause`,
    `resume` and `sent` change it and ask it.
    """
    from rawdaq.control.device.simulation import from_options, from_plan
    from rawdaq.control.plugin.process import run

    of_plan = {key: value for key in ("seed", "seconds", "truth", "faults") if (value := given.pop(key))}
    if "truth" in of_plan:
        of_plan["truth"] = str(of_plan["truth"].absolute())
    source = _source(given)
    try:
        if plan is None:
            component = from_options(name, source, of_plan)
        else:
            if source:
                raise click.UsageError("--plan says what is sent: leave out the options of a single source")
            component = from_plan(plan, name, of_plan)
    except RawdaqError as error:
        raise click.UsageError(str(error)) from error
    raise SystemExit(run([component]))


def _source(given: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say of a single source; nothing when they say nothing."""
    from rawdaq.config.yaml_values import value_of

    events, times, form = given.pop("events"), given.pop("times"), given.pop("form")
    kinds = [kind for kind, is_there in (("events", events), ("times", times)) if is_there]
    kinds += [kind] if (kind := given.pop("kind")) else []
    if len(kinds) > 1:
        raise click.UsageError(f"--{' and --'.join(kinds)} are two sources: describe both in a --plan")
    source: dict[str, Any] = {key: value for key, value in given.items() if value is not None} | events
    if form is not None:
        try:
            source["format"] = value_of(form)
        except InvalidValue as error:
            raise click.UsageError(f"--format: {error}") from error
    if not kinds:
        return source
    return {"to": "127.0.0.1:17000", **source, "kind": kinds[0]}
