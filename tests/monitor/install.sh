#!/bin/sh
# Installs what the tests of what people see need on a Debian-like system: prometheus (with promtool), chromium,
# poppler-utils for how pages print, and systemd for what it says of the units. It is quiet when there is nothing
# to do, starts no service and leaves none enabled, and always exits 0: where it cannot install it says why in one
# line, and the tests skip themselves.
set -u

POLICY=/usr/sbin/policy-rc.d

give_up() {
    echo "tests/monitor: $1"
    exit 0
}

missing=""
command -v promtool >/dev/null 2>&1 || missing="prometheus"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v pdftotext >/dev/null 2>&1 || missing="$missing poppler-utils"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || give_up "missing: $missing; installing needs root"
command -v apt-get >/dev/null 2>&1 || give_up "missing: $missing; there is no apt-get to install it with"

# Debian starts a service when it installs it, unless policy-rc.d says no. One that is there already is kept.
if [ ! -e "$POLICY" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 1' HUP INT TERM
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1 || give_up "apt-get update failed"
# shellcheck disable=SC2086
said=$(apt-get install -qq -y --no-install-recommends $missing 2>&1) ||
    give_up "apt-get install failed: $(printf '%s\n' "$said" | tail -n 1)"
# The package means to start Prometheus at the next boot; the tests run one of their own.
case "$missing" in
*prometheus*) systemctl disable prometheus.service >/dev/null 2>&1 || rm -f /etc/systemd/system/multi-user.target.wants/prometheus.service ;;
esac
exit 0
