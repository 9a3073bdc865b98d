#!/usr/bin/env bash
# Chromium and a font for Chinese, for the console's tests: installed where they are missing and apt may, else named.
set -euo pipefail

missing=()
if [ -z "${ALERTHUB_CHROMIUM:-}" ] && ! command -v chromium chromium-browser google-chrome >/dev/null; then
    missing+=(chromium)
fi
if ! ls -d /usr/share/fonts/opentype/noto/NotoSansCJK* >/dev/null 2>&1 \
    && ! { command -v fc-list >/dev/null && fc-list :lang=zh | grep -q .; }; then
    missing+=(fonts-noto-cjk)
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
        echo "Missing: ${missing[*]}. On Debian or Ubuntu: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        echo "Elsewhere: install Chromium or Chrome and a font for Chinese, and name the browser in ALERTHUB_CHROMIUM" >&2
        exit 1
    fi
fi
if ! command -v apt-get >/dev/null; then
    echo "Missing: ${missing[*]}, and this machine has no apt. Install Chromium or Chrome (name it in ALERTHUB_CHROMIUM) and a font for Chinese" >&2
    exit 1
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
