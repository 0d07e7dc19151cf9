#!/bin/sh
# Builds the Debian package: deb.sh OUT [CHECKOUT [VERSION]]. It lands in OUT; its version is the product's unless given.
set -eu

deploy=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
checkout=$(cd "${2:-$deploy/..}" && pwd)
version=${3:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$checkout/slurm_ai_factory/__init__.py")}
tree=$out/slurm-ai-factory-$version
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$deploy" log -1 --format=%ct 2>/dev/null || stat -c %Y "$deploy/../CHANGELOG.md")}
export SOURCE_DATE_EPOCH
date=$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")

rm -rf "$tree"
mkdir -p "$tree"
sh "$deploy/bundle.sh" "$tree/bundle" "$checkout"
cp -r "$deploy/debian" "$tree/debian"
cp "$checkout/CHANGELOG.md" "$tree"
sed -i "s/@VERSION@/$version/; s/@DATE@/$date/" "$tree/debian/slurm-ai-factory.NEWS"
mv "$tree/debian/slurm-ai-factory.NEWS" "$tree/debian/NEWS"
sed 's/^$/./; s/^/ /' "$deploy/../LICENSE" >>"$tree/debian/copyright"
install -D -m 755 "$tree/debian/slurm-ai-factory.rtupdate" "$tree/bundle/usr/share/python3/runtime.d/slurm-ai-factory.rtupdate"
cat >"$tree/debian/changelog" <<END
slurm-ai-factory ($version) unstable; urgency=medium

  * What changes for operators is in changelog.gz.

 -- The slurm_ai_factory developers <saf@localhost>  $date
END
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$out/deb.log" 2>&1 ||
    { tail -n 20 "$out/deb.log" >&2; exit 1; }
rm -rf "$tree"
