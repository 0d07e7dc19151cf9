#!/bin/sh
# Builds a package of the product as it was before the ledger's last migration: before.sh OUT. It is packed as today.
set -eu
cd "$(dirname "$0")/../.."
out=$1
last=$(git log --diff-filter=A -1 --format=%H -- slurm_ai_factory/ledger/migrations)
[ -n "$last" ] || { echo "tests/install/before.sh: it needs the history of the repository; clone it whole" >&2; exit 1; }
rm -rf "$out/checkout"
mkdir -p "$out/checkout"
git archive "$last^" | tar -x -C "$out/checkout" --exclude=deploy
cp -r deploy "$out/checkout"
sh deploy/deb.sh "$out" "$out/checkout" 0.0.1
