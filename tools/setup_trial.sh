#!/usr/bin/env bash
# From nothing but Python to a station that runs, starts at boot and has a page that shows its traces, by the commands that
# README and the tutorial name, with the time that each takes. All of it happens in a folder that is removed again; systemd's units are written below
# it, and what systemd does at a boot is done here: the command of the unit is started, and has to say that it is ready.
set -euo pipefail
source_folder="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${1:-python3}"

folder="$(mktemp -d "${TMPDIR:-/tmp}/rawdaq-trial.XXXXXX")"
export RAWDAQ_RUNTIME_DIR="$folder/run" XDG_CONFIG_HOME="$folder/config"
unset RAWDAQ_CONFIG RAWDAQ_LOG_DIR
device='' page='' began_s="$(date +%s.%N)" step_s="$(date +%s.%N)"

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    [[ ! -x $folder/venv/bin/control-rawdaq ]] || "$folder/venv/bin/control-rawdaq" stop all >/dev/null 2>&1 || true
    [[ -z $page ]] || { kill "$page" 2>/dev/null && wait "$page" 2>/dev/null || true; }
    [[ -z $device ]] || { kill "$device" 2>/dev/null && wait "$device" 2>/dev/null || true; }
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

took() {  # says how long it was since the last call
    local now_s
    now_s="$(date +%s.%N)"
    awk -v a="$step_s" -v b="$now_s" -v what="$1" 'BEGIN { printf "%7.1f s  %s\n", b - a, what }'
    step_s="$now_s"
}
free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

"$python" -m venv "$folder/venv"
. "$folder/venv/bin/activate"
pip install --quiet --disable-pip-version-check "$source_folder[web]"
took "install: a virtual environment, pip install '.[web]'"

mkdir -p "$XDG_CONFIG_HOME/rawdaq"
cd "$XDG_CONFIG_HOME/rawdaq"
port="$(free_port)" live="$(free_port)"
rawdaq-device --port "$port" --no-wait-client >"$folder/device.log" 2>&1 &
device=$!
until control-rawdaq init XX.TRIAL --device "127.0.0.1:$port" --channels 1-3 >"$folder/init.log" 2>&1; do
    kill -0 "$device" || { cat "$folder/device.log" "$folder/init.log" >&2; exit 1; }
done
sed -i.bak "s/port: 9004/port: $live/" XX.TRIAL.yaml   # this machine may use README's port for something else
rm XX.TRIAL.yaml.bak
took 'init: the device is asked, its rates are measured, the station file is written'

control-rawdaq check >/dev/null
control-rawdaq start all
rawdaq-dump --connect "tcp://127.0.0.1:$live" --count 3
took 'start: the station receives, archives and streams'

control-rawdaq web --port 0 >"$folder/page" 2>"$folder/page.log" &
page=$!
python - "$folder/page" <<'PYTHON'
"""Does what the page does in a browser: opens itself, says its token, and asks for the traces of the station."""

import json
import re
import sys
import time
import urllib.request
from pathlib import Path

from websockets.sync.client import connect

printed, end_s = Path(sys.argv[1]), time.monotonic() + 60
while not (found := re.search(r"http://(\S+?)/#token=(\S+)", printed.read_text())):
    if time.monotonic() > end_s:
        sys.exit("the web server has printed no address")
    time.sleep(0.05)
address, token = found.groups()
with urllib.request.urlopen(f"http://{address}/", timeout=60) as page:
    assert b"<script" in page.read(), "the page is not served"
with connect(f"ws://{address}/api/v1/live") as live:
    live.send(json.dumps({"token": token}))
    live.recv(60)
    live.send(json.dumps({"streams": ["XX.TRIAL.*.*"], "window_s": 60, "column_ms": 160}))
    while not isinstance(live.recv(60), bytes):
        pass
PYTHON
took 'page: it is served, and its traces come'

control-rawdaq stop all
control-rawdaq systemd install --user --no-start
unit="rawdaq@XX.TRIAL.RawReceiver.service"
test -L "$XDG_CONFIG_HOME/systemd/user/default.target.wants/$unit"
took 'systemd: the station is enabled for every boot'

python - "$XDG_CONFIG_HOME/systemd/user" "$unit" <<'PYTHON'
"""Does what systemd does at a boot: starts the unit's command with its variables, waits until it is ready, stops it."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

units, unit = Path(sys.argv[1]), sys.argv[2]
template = (units / "rawdaq@.service").read_text().replace("%i", unit.removeprefix("rawdaq@").removesuffix(".service"))
(command,) = [line.removeprefix("ExecStart=") for line in template.splitlines() if line.startswith("ExecStart=")]
drop_in = (units / f"{unit}.d" / "rawdaq.conf").read_text()
variables = [line.removeprefix("Environment=") for line in drop_in.splitlines() if line.startswith("Environment=")]
with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.bind(f"{folder}/notify")
    manager.settimeout(60)
    environment = dict(shlex.split(each)[0].split("=", 1) for each in variables)
    environment |= {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "60000000"}
    process = subprocess.Popen(shlex.split(command), env=environment, stderr=subprocess.PIPE, text=True)
    heard = b""
    while b"READY=1" not in heard:
        heard = manager.recv(4096)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    if process.returncode:
        sys.exit(log)
PYTHON
took 'boot: the command of the unit is started and says that it is ready, and is stopped'

if command -v systemd-analyze >/dev/null; then
    XDG_RUNTIME_DIR="$folder" SYSTEMD_UNIT_PATH="$XDG_CONFIG_HOME/systemd/user:" systemd-analyze --user verify --man=no \
        "$XDG_CONFIG_HOME/systemd/user/$unit"
fi
files="$(find "$XDG_CONFIG_HOME/rawdaq/archive" -type f -name 'XX.TRIAL.*' | wc -l)"
[[ $files -ge 3 ]] || { echo "only $files files in the archive" >&2; exit 1; }
control-rawdaq systemd uninstall --user >/dev/null
[[ ! -e $XDG_CONFIG_HOME/systemd/user/rawdaq@.service ]]
step_s="$began_s"
took 'all in all'
