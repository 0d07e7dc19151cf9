#!/bin/sh
# Installs what tests/cluster needs on a Debian-like system. It is quiet when there is nothing to do, starts no
# service, and always exits 0: where it cannot install it says why in one line, and the tests skip themselves.
set -u

PACKAGES="slurmctld slurmdbd slurmd slurmrestd slurm-client slurm-wlm-basic-plugins slurm-wlm-mysql-plugin
slurm-wlm-jwt-plugin munge mariadb-server mariadb-client faketime"
COMMANDS="slurmctld slurmdbd slurmd slurmrestd sbatch sacctmgr munged mariadbd mariadb-install-db mariadb faketime"
POLICY=/usr/sbin/policy-rc.d
PATH="$PATH:/usr/sbin:/sbin"

give_up() {
    echo "tests/cluster: $1"
    exit 0
}

missing() {
    for each in $COMMANDS; do
        command -v "$each" >/dev/null 2>&1 || return 0
    done
    for plugin in auth_munge auth_jwt accounting_storage_mysql; do
        found=$(find /usr/lib* -path "*slurm*/$plugin.so" -print -quit 2>/dev/null)
        [ -n "$found" ] || return 0
    done
    return 1
}

# Debian starts a service when it installs it, unless policy-rc.d says no. One that is there already is kept.
forbid_services() {
    [ -e "$POLICY" ] && return
    printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 1' HUP INT TERM
}

missing || exit 0
[ "$(id -u)" = 0 ] || give_up "Slurm is not installed, and installing it needs root"
command -v apt-get >/dev/null 2>&1 || give_up "Slurm is not installed, and there is no apt-get to install it with"

export DEBIAN_FRONTEND=noninteractive
forbid_services
apt-get update -qq >/dev/null 2>&1 || give_up "apt-get update failed"
# shellcheck disable=SC2086
said=$(apt-get install -qq -y --no-install-recommends $PACKAGES 2>&1) ||
    give_up "apt-get install failed: $(printf '%s\n' "$said" | tail -n 1)"
missing && give_up "something is still missing after the installation"
exit 0
