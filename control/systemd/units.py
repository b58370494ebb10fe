"""The text of units: one template for all components, and for each what only its own unit knows.

See systemd.service(5) and systemd.exec(5). What a unit may not do is chosen so that serial devices, sockets below
``/tmp`` and folders anywhere still work where the station file names them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rawdaq.config import ComponentSettings
from rawdaq.control.systemd.folders import writable

TEMPLATE = "rawdaq@.service"
_HAS_STEPS = 254  # the first systemd that waits longer from one restart to the next
_STOP_MARGIN_S = 15

_NETWORK = "Wants=network-online.target\nAfter=network-online.target time-sync.target\n"
_HARDENING = """\
# What it cannot need. Where it may write is said for each component.
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE CAP_NET_RAW
"""


@dataclass(frozen=True)
class Setup:
    """What the units of one installation have in common.

    Attributes:
        python: the interpreter that has rawdaq.
        configuration: the station file, or the folder of them.
        is_user: whether a user's own manager runs them; else that of the system.
        run_as: the user that they run as in the system's manager; None: root.
        state_folders: the folders of runtime files and logs of that user.
        variables: further variables of the environment.
        version: that of systemd.
    """

    python: Path
    configuration: Path
    is_user: bool
    run_as: str | None
    state_folders: Sequence[Path]
    variables: Mapping[str, str]
    version: int


def unit_of(component: ComponentSettings) -> str:
    """Return the name of a component's unit; its key has only characters that need no escape there."""
    return f"rawdaq@{component.key}.service"


def files(components: Sequence[ComponentSettings], setup: Setup) -> dict[Path, str]:
    """Return the text of every file, by its path relative to the folder of units."""
    drop_ins = {Path(f"{unit_of(each)}.d") / "rawdaq.conf": drop_in(each, setup) for each in components}
    return {Path(TEMPLATE): template(setup)} | drop_ins


def template(setup: Setup) -> str:
    """Return the unit of all components; ``%i`` is the key of one."""
    program = f"{quoted(str(setup.python))} -m rawdaq"
    steps = "RestartSec=1\nRestartSteps=6\nRestartMaxDelaySec=60" if setup.version >= _HAS_STEPS else "RestartSec=10"
    return f"""\
# Written by `control-rawdaq systemd install`; `uninstall` takes it back. Changes of yours belong into
# `systemctl {"--user " if setup.is_user else ""}edit rawdaq@NET.STA.NAME`, which both leave alone.
[Unit]
Description=rawdaq: %i
{"" if setup.is_user else _NETWORK}# A device or a disk may be away for a week.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} start %i --foreground
ExecReload={program} reload %i
{_user(setup)}# A process whose event loop does not turn for so long is started again.
WatchdogSec=60
Restart=on-failure
{steps}
KillMode=mixed
LimitNOFILE=65536
NoNewPrivileges=yes
{"" if setup.is_user else _HARDENING}
[Install]
WantedBy={"default.target" if setup.is_user else "multi-user.target"}
"""


def _user(setup: Setup) -> str:
    if setup.is_user:
        return ""
    if setup.run_as is not None:
        return f"User={setup.run_as}\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    kept = "RuntimeDirectory=rawdaq\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=yes\n"
    return f"{kept}LogsDirectory=rawdaq\n"


def drop_in(component: ComponentSettings, setup: Setup) -> str:
    """Return what only the unit of *component* knows: its configuration, its folders, how long its stop may take."""
    variables = {"RAWDAQ_CONFIG": str(setup.configuration), **setup.variables}
    lines = [
        "# Written by `control-rawdaq systemd install`; `uninstall` takes it back.",
        "[Service]",
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in variables.items()),
        f"TimeoutStopSec={int(2 * component.daemon.stop_timeout_s) + _STOP_MARGIN_S}",
    ]
    if not setup.is_user:
        folders = dict.fromkeys([*writable(component), *setup.state_folders])
        lines += [f"ReadWritePaths={quoted(f'-{folder}')}" for folder in folders]
    return "\n".join([*lines, ""])


def quoted(text: str) -> str:
    """Return *text* as one word of a unit, in quotes where it needs them.

    >>> quoted("/opt/python"), quoted("/my data/50%")
    ('/opt/python', '"/my data/50%%"')
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[A-Za-z0-9_./=:,@+-]+", text) else f'"{escaped}"'
