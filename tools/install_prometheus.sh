#!/usr/bin/env bash
# Prometheus, promtool and amtool for the tests of rules and dashboards. Where they are missing they are
# unpacked from Debian's packages into the user's cache folder: nothing is installed, and no daemon is started.
set -euo pipefail

programs=(prometheus promtool amtool)
packages=(prometheus prometheus-alertmanager)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/alerthub/prometheus"

missing=()
for program in "${programs[@]}"; do
    if [ ! -x "$folder/usr/bin/$program" ] && ! command -v "$program" >/dev/null; then
        missing+=("$program")
    fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "Missing: ${missing[*]}, and this machine has no apt. Install Prometheus and Alertmanager (https://prometheus.io/download), and put their programs on the PATH" >&2
    exit 1
fi
echo "Fetching ${packages[*]}"
mkdir -p "$folder"
cd "$folder"
# Package lists can be missing or old; only root may renew them.
if ! apt-get download -qq "${packages[@]}" >/dev/null 2>&1; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq || true
    if ! apt-get download -qq "${packages[@]}" >/dev/null; then
        echo "Missing: ${missing[*]}. On Debian or Ubuntu: sudo apt-get update, and again; or sudo apt-get install ${packages[*]}" >&2
        exit 1
    fi
fi
for package in prometheus_*.deb prometheus-alertmanager_*.deb; do
    dpkg-deb --extract "$package" .
    rm "$package"
done
