"""``control-rawdaq seiscomp``: the commands around `rawdaq.control.seiscomp.files`."""

from pathlib import Path

import click

_root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    envvar="SEISCOMP_ROOT",
    required=True,
    help="The folder that SeisComP is installed in. Default: $SEISCOMP_ROOT.",
)


@click.group()
def seiscomp() -> None:
    """Make rawdaq a source of SeisComP's SeedLink server, or remove it."""


@seiscomp.command()
@_root_option
def install(root: Path) -> int:
    """Write the plugin, its templates and its description; a second run changes nothing."""
    from rawdaq.control.seiscomp import files

    written = files.install(root)
    for target in written:
        click.echo(f"wrote {root / target}")
    if not written:
        click.echo(f"all is in {root} already; nothing was changed")
    if not (root / "bin" / "seiscomp").exists():
        click.echo(f"{root} has no bin/seiscomp: is it the folder of SeisComP?", err=True)
    click.echo(_NEXT.format(root=root))
    return 0


_NEXT = """
What to do next:
1. Give a station the source "rawdaq": in scconfig under Bindings, seedlink, sources; or by hand,
   {root}/etc/key/station_NET_STA           seedlink:NAME
   {root}/etc/key/seedlink/profile_NAME     sources = rawdaq
                                            sources.rawdaq.host = 192.0.2.1
                                            sources.rawdaq.port = 65535
                                            sources.rawdaq.channelProfiles = p
                                            sources.rawdaq.channelProfile.p.channelCodes = HHZ:1,HHN:2,HHE:3
2. seiscomp update-config seedlink
3. seiscomp restart seedlink"""


@seiscomp.command()
@_root_option
def uninstall(root: Path) -> int:
    """Remove what install wrote, and nothing else."""
    from rawdaq.control.seiscomp import files

    removed = files.uninstall(root)
    for target in removed:
        click.echo(f"removed {root / target}")
    if not removed:
        click.echo(f"nothing of rawdaq is in {root}")
    else:
        click.echo(
            'Bindings that name the source "rawdaq" are yours; remove them, then: seiscomp update-config seedlink'
        )
    return 0
