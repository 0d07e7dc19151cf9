# The life of the Debian package on one host, as root, without a network; sourced by root.sh in a copy of a bare Debian.
# Each command is shown, and the first that fails ends it. Beside slurm.conf is a folder packages.
packages=$(dirname "$(readlink -f /etc/slurm/slurm.conf)")/packages
conf=/etc/slurm-ai-factory/saf.toml
as_saf() { runuser -u slurm-ai-factory -- saf "$@"; }
found() { "$@" && code=0 || code=$?; case $code in 0 | 3 | 4 | 5) ;; *) echo "exit $code"; return 1 ;; esac; } # findings are no failure
refused() { if "$@" >/root/said 2>&1; then cat /root/said; return 1; fi; cat /root/said; }
system() { find /usr /etc -xdev ! -path '/etc/passwd*' ! -path '/etc/group*' ! -path '/etc/?shadow*' ! -path '/etc/shadow*' | sort; }

set -x
cd /
refused getent ahosts deb.debian.org
system >/root/fresh

# Install an older version, with a ledger in Debian's PostgreSQL.
dpkg -i "$packages"/before/*.deb
saf --version
pg_ctlcluster "$(ls /etc/postgresql)" main start
runuser -u postgres -- createuser slurm-ai-factory
runuser -u postgres -- createdb -O slurm-ai-factory saf
saf init -o $conf --account regional --window quarter
chgrp slurm-ai-factory $conf
sed -i 's|^\[ledger\]$|&\nurl = "postgresql:///saf"|' $conf
as_saf config check
as_saf ledger migrate
as_saf cycle
found as_saf status
as_saf history --json >/root/history.before
sha256sum $conf >/root/sum

# Upgrade. The new version refuses the old schema until it is migrated; the operator's file stays.
dpkg -i "$packages"/now/*.deb
sha256sum -c /root/sum
refused as_saf status
grep -q 'saf ledger migrate' /root/said
as_saf ledger migrate
found as_saf doctor
as_saf cycle
found as_saf status
as_saf ledger verify

# What the package brings along.
man saf-share | grep -q 'delivered share of a window'
man saf.toml | grep -q target_share
bash -c 'source /usr/share/bash-completion/completions/saf
    COMP_WORDS=(saf ledger mi) COMP_CWORD=2
    _saf_completion saf
    test "${COMPREPLY[*]}" = migrate'
systemd-analyze verify /usr/lib/systemd/system/saf.service /usr/lib/systemd/system/saf-pseudonymise.timer
test ! -e /etc/systemd/system/multi-user.target.wants/saf.service
find /usr/lib/slurm-ai-factory -name 'controller.*.pyc' | grep -q .

# The embedded PostgreSQL, in the state directory.
sed '/^url = /d' $conf >/tmp/embedded.toml
as_saf --config /tmp/embedded.toml cycle
found as_saf --config /tmp/embedded.toml status
test -n "$(ls -A /var/lib/slurm-ai-factory)"

# An older package does not replace a newer schema.
refused dpkg -i "$packages"/before/*.deb
grep -q 'older one knows schema' /root/said
found as_saf status

# Remove, and purge: of the system nothing is left, and both ledgers are.
dpkg -r slurm-ai-factory
test ! -e /usr/bin/saf
sha256sum -c /root/sum
dpkg -P slurm-ai-factory
system >/root/purged
diff /root/fresh /root/purged
test -n "$(ls -A /var/lib/slurm-ai-factory)"
runuser -u postgres -- psql -d saf -Atc 'select count(*) > 0 from decisions' | grep -qx t
