#!/bin/sh
# Installs what the tests of what people see need on a Debian-like system: prometheus (with promtool), chromium,
# poppler-utils for how pages print, systemd and mandoc for what they say of units and manual pages, and npm's
# axe-core, in build/axe. It is quiet when there is nothing to do, starts no service and leaves none enabled, and
# always exits 0: where it cannot install it says why in one line, and the tests skip themselves.
set -u

POLICY=/usr/sbin/policy-rc.d
cd "$(dirname "$0")/../.."

give_up() {
    echo "tests/monitor: $1"
    exit 0
}

# The version and the digest of axe-core are those of the lock file.
axe() {
    cmp -s tests/axe/package-lock.json build/axe/package-lock.json && return
    rm -rf build/axe && mkdir -p build && cp -r tests/axe build/axe.new &&
        npm ci --prefix build/axe.new --ignore-scripts --no-audit --no-fund >build/axe.log 2>&1 &&
        mv build/axe.new build/axe || { rm -rf build/axe.new; give_up "npm ci failed: see build/axe.log"; }
}

missing=""
command -v promtool >/dev/null 2>&1 || missing="prometheus"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v pdftotext >/dev/null 2>&1 || missing="$missing poppler-utils"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
command -v mandoc >/dev/null 2>&1 || missing="$missing mandoc"
[ -d build/axe ] || command -v npm >/dev/null 2>&1 || missing="$missing npm"
[ -n "$missing" ] || { axe; exit 0; }
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
axe
exit 0
