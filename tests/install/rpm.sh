#!/bin/sh
# What is in the package for EL9: rpm.sh FILE. Installs nothing.
set -eu
file=$1
listed=$(rpm -qp --list "$file" 2>/dev/null)
needed=$(rpm -qp --requires "$file" 2>/dev/null)
site=/usr/lib/slurm-ai-factory/lib/python3.11/site-packages
for path in /usr/bin/saf /usr/lib/slurm-ai-factory/bin/python3 \
    $(cd "$(dirname "$0")/../../deploy/systemd" && printf '/usr/lib/systemd/system/%s ' saf*) \
    /usr/lib/sysusers.d/slurm-ai-factory.conf /usr/lib/tmpfiles.d/slurm-ai-factory.conf \
    /usr/share/bash-completion/completions/saf /usr/share/zsh/site-functions/_saf \
    /usr/share/man/man1/saf-share.1.gz /usr/share/man/man5/saf.toml.5.gz \
    /usr/share/slurm-ai-factory/prometheus/rules.yml /usr/share/slurm-ai-factory/grafana/dashboards/saf-promise.json \
    /usr/share/doc/slurm-ai-factory/examples/saf.toml /usr/share/licenses/slurm-ai-factory/LICENSE \
    $(cd "$(dirname "$0")/../.." && find slurm_ai_factory -name '*.py' -o -name '*.sql' -o -name '*.toml' | sed "s,^,$site/,"); do
    printf '%s\n' "$listed" | grep -qxF "$path" || { echo "tests/install/rpm.sh: $path is not in $file" >&2; exit 1; }
done
for package in python3.11 systemd; do
    printf '%s\n' "$needed" | grep -qx "$package" || { echo "tests/install/rpm.sh: $file does not need $package" >&2; exit 1; }
done
if printf '%s\n' "$listed" | grep -E '^/(etc|var|opt|root|work|tmp)|/python3\.1[23]/'; then
    echo "tests/install/rpm.sh: these do not belong in $file" >&2
    exit 1
fi
echo "1 passed, 0 failed"
