#!/usr/bin/env bash
# The whole way of real samples: device -> receiver -> live stream and archive -> picture. Leaves its files in demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds="${1:-15}"
rm -rf demo/archive demo/archive.png demo/station.yaml demo/device.log demo/receiver.log
mkdir -p demo
# A folder of our own, so that a receiver that runs on this machine is neither seen nor touched.
RAWDAQ_RUNTIME_DIR="$(mktemp -d "${TMPDIR:-/tmp}/rawdaq-demo.XXXXXX")"
export RAWDAQ_RUNTIME_DIR RAWDAQ_LOG_DIR="$RAWDAQ_RUNTIME_DIR/log" RAWDAQ_CONFIG="$PWD/demo/station.yaml"
export PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
device=""

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    control-rawdaq stop all 2>/dev/null || true
    [[ -z $device ]] || { kill "$device" 2>/dev/null && wait "$device" || true; }
    cp "$RAWDAQ_LOG_DIR"/*.log demo/receiver.log 2>/dev/null || true
    rm -rf "$RAWDAQ_RUNTIME_DIR"
    case $status in
        0) ;;
        130 | 143) echo 'the demo was interrupted; everything that it started is stopped' >&2 ;;
        *) echo "the demo did not work (exit status $status); see demo/device.log and demo/receiver.log" >&2 ;;
    esac
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say '$ rawdaq-device            # a digitizer that plays a real earthquake, on any free port'
rawdaq-device --port 0 >demo/device.log 2>&1 &
device=$!
for _ in $(seq 300); do
    grep -q 'channel 3' demo/device.log && break
    kill -0 "$device" 2>/dev/null || { cat demo/device.log >&2; exit 1; }
    sleep 0.1
done
cat demo/device.log
device_port="$(sed -nE 's/^serving .* on 127\.0\.0\.1:([0-9]+)$/\1/p' demo/device.log)"
live_port="$(python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')"

cat >demo/station.yaml <<YAML
station: {network: XX, code: DEMO, location: "00"}
RawReceiver:
  Receiver:
    class: RawReceiver
    host: 127.0.0.1
    port: $device_port
    channels: {1: HHZ, 2: HHN, 3: HHE}
  Publishers:
    live: {class: ZMQTCPPublisher, ip: 127.0.0.1, port: $live_port}
    archive: {class: MiniSeedPublisher, path: archive}
YAML

say '$ control-rawdaq start receiver RawReceiver            # with demo/station.yaml'
control-rawdaq start receiver RawReceiver

say "\$ rawdaq-dump --connect tcp://127.0.0.1:$live_port --seconds $seconds"
rawdaq-dump --connect "tcp://127.0.0.1:$live_port" --seconds "$seconds"

say '$ control-rawdaq status'
control-rawdaq status

say '$ control-rawdaq stop all'
control-rawdaq stop all
kill "$device"
wait "$device" || true
device=""

say '$ obspy-plot --outfile demo/archive.png demo/archive/*/*/*/*/*'
obspy-plot --outfile demo/archive.png demo/archive/*/*/*/*/*
echo 'The samples are in'
find "$PWD/demo/archive" -type f | sort
echo 'and look like this:'
echo "$PWD/demo/archive.png"
