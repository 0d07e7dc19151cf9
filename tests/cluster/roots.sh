#!/bin/sh
# Makes a root directory for each Slurm that is not this machine's own: Debian's trixie has 24.11, forky 26.05.
# Usage: roots.sh [24.11] [26.05], or for tests/install: roots.sh debian-12 debian-13, bare hosts that have Slurm's
# commands and nothing of the product, or packages-12 packages-13, which also have what the Debian package depends on.
# They are kept outside the tree, in $SAF_SLURM_ROOTS or /var/cache/saf-slurm, and made once; about a minute and 400 MB each. The mirror is the one that apt uses here. Nothing is started, and
# nothing stays mounted. Unlike install.sh it fails aloud: who asks for a version wants that version.
set -eu

ROOTS="${SAF_SLURM_ROOTS:-/var/cache/saf-slurm}"
PACKAGES="slurmctld,slurmdbd,slurmd,slurmrestd,slurm-client,slurm-wlm-basic-plugins,slurm-wlm-mysql-plugin,slurm-wlm-jwt-plugin,munge,faketime"
SCRIPT=/usr/share/debootstrap/scripts/sid
export DEBIAN_FRONTEND=noninteractive
PATH="$PATH:/usr/sbin:/sbin"

fail() {
    echo "tests/cluster/roots.sh: $1" >&2
    exit 1
}

suite() {
    case "$1" in
    24.11) echo trixie ;;
    26.05) echo forky ;;
    debian-12 | packages-12) echo bookworm ;;
    debian-13 | packages-13) echo trixie ;;
    *) fail "no Debian release is known to have Slurm $1; known are 24.11 and 26.05" ;;
    esac
}

packages() {
    case "$1" in
    debian-*) echo systemd,procps,slurm-client,ca-certificates ;;
    packages-*) echo systemd,procps,slurm-client,python3,man-db,bash-completion,postgresql ;;
    *) echo "$PACKAGES" ;;
    esac
}

mirror() {
    apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p' | head -n 1
}

# Slurm's daemons are named through /etc/alternatives, which is not in /usr, all that is used of a root.
own_names() {
    find "$1/usr/sbin" -lname '/etc/alternatives/slurm*' | while read -r link; do
        ln -sf "$(readlink "$1/etc/alternatives/$(basename "$link")")" "$link"
    done
}

# Roots of Slurm that were made before slurmrestd was among the packages are made again.
whole() {
    case "$1" in
    debian-* | packages-*) [ -e "$ROOTS/$1/usr" ] ;;
    *) [ -e "$ROOTS/$1/usr/sbin/slurmrestd" ] ;;
    esac
}

make_root() {
    root="$ROOTS/$1"
    whole "$1" && return
    [ "$(id -u)" = 0 ] || fail "making $root needs root"
    command -v debootstrap >/dev/null 2>&1 ||
        apt-get install -qq -y --no-install-recommends debootstrap >/dev/null || fail "debootstrap is missing"
    from=$(mirror)
    [ -n "$from" ] || fail "apt has no mirror of Debian configured here"
    mkdir -p "$ROOTS"
    part=$(mktemp -d "$ROOTS/$1.part.XXXXXX")
    chmod 755 "$part" # the users in it have to get at what is theirs
    trap 'rm -rf --one-file-system "$part"' EXIT
    trap 'exit 1' HUP INT TERM
    echo "making $root from $(suite "$1")"
    # In a mount namespace of its own: whatever it mounts is gone with it, however it ends.
    unshare --mount --propagation private debootstrap --variant=minbase --include="$(packages "$1")" "$(suite "$1")" \
        "$part" "$from" "$SCRIPT" >"$ROOTS/$1.log" 2>&1 || fail "debootstrap failed, see $ROOTS/$1.log"
    rm -rf "$part"/var/cache/apt/archives/*.deb "$part"/var/lib/apt/lists/*
    own_names "$part"
    rm -rf --one-file-system "$root"
    mv -T "$part" "$root"
    trap - EXIT
}

[ $# -gt 0 ] || set -- 24.11 26.05
for version in "$@"; do
    make_root "$version"
done
