#!/bin/sh
# Builds the package for EL9: rpm.sh OUT. It lands in OUT.
set -eu

checkout=$(cd "$(dirname "$0")/.." && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$checkout/slurm_ai_factory/__init__.py")
schema=$(ls "$checkout/slurm_ai_factory/ledger/migrations" | sed -n 's/^0*\([0-9]*\)_.*\.sql$/\1/p' | sort -n | tail -n 1)
scratch=$(mktemp -d "$out/rpm.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
sh "$checkout/deploy/bundle.sh" "$scratch/bundle"
rpmbuild -bb --define "_topdir $scratch" --define "_rpmdir $out" --define "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
    --define "_unitdir /usr/lib/systemd/system" --define "_binary_payload w3.zstdio" --define "bundle $scratch/bundle" \
    --define "checkout $checkout" --define "version_given $version" --define "schema $schema" \
    --dbpath "$scratch/db" "$checkout/deploy/rpm/slurm-ai-factory.spec" >"$out/rpm.log" 2>&1 || { tail -n 20 "$out/rpm.log" >&2; exit 1; }
