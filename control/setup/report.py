"""What a device offers, as a table."""

import sys
from collections.abc import Sequence

import click
from rich import box
from rich.table import Table

from rawdaq.control.setup.device import Device
from rawdaq.control.setup.station import Row
from rawdaq.control.status.tables import console_of_terminal
from rawdaq.packet import rate_text
from rawdaq.sockets.endpoint import host_port

_NUMBERS = ("channel", "Hz", "measured", "packets", "least", "greatest")
_COLUMNS = ("channel", "code", "sensor", "Hz", "measured", "type", "packets", "least", "greatest")


def show(device: Device, rows: Sequence[Row], warnings: Sequence[str]) -> None:
    """Print the channels of *device* with their proposed codes, then what is wrong or unlikely."""
    click.echo(f"The device at {host_port(device.host, device.port)} speaks RAW {device.version}.")
    table = Table(box=box.SIMPLE if sys.stdout.isatty() else None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    console_of_terminal().print(table)
    for warning in warnings:
        click.echo(f"! {warning}")


def _cells(row: Row) -> tuple[str, ...]:
    measured = "-" if row.measured_hz is None else f"{row.measured_hz:.6g}"
    least, greatest = ("-", "-") if row.samples is None else map(rate_text, row.samples)
    rate = rate_text(row.rate_hz)
    return (str(row.channel), row.code, row.sensor, rate, measured, row.sample_type, str(row.packets), least, greatest)
