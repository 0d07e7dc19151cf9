#!/bin/sh
# Installs what the tests of pages need on a Debian-like system: chromium, and pdftotext and pdfinfo for how pages
# print. It is quiet when there is nothing to do, and always exits 0: where it cannot install it says why in one line,
# and the tests skip themselves.
set -u

give_up() {
    echo "tests/browser: $1"
    exit 0
}

missing=""
command -v chromium >/dev/null 2>&1 || missing="chromium"
command -v pdftotext >/dev/null 2>&1 || missing="$missing poppler-utils"
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || give_up "missing: $missing; installing needs root"
command -v apt-get >/dev/null 2>&1 || give_up "missing: $missing; there is no apt-get to install it with"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1 || give_up "apt-get update failed"
# shellcheck disable=SC2086
said=$(apt-get install -qq -y --no-install-recommends $missing 2>&1) ||
    give_up "apt-get install failed: $(printf '%s\n' "$said" | tail -n 1)"
exit 0
