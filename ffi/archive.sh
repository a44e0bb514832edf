#!/bin/sh
# Packs libtidelog for those who have no Rust: headers, libraries, pkg-config and CMake files, licences, examples.
#
#   sh ffi/archive.sh DIR [--engine-only] [--wasm] [--from DIR]    writes DIR/tidelog-VERSION-MACHINE.tar.gz and its .sha256
#
# The options are those of install.sh. The archive can be unpacked anywhere: what is in it finds itself.
set -eu

[ $# -ge 1 ] || { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
name=tidelog-$version-$(uname -m)-$(uname -s | tr '[:upper:]' '[:lower:]')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sh "$here/install.sh" "$work/$name" "$@"
mkdir -p "$work/$name/share/tidelog/examples"
install -m 644 "$here/../LICENSE-MIT" "$here/../LICENSE-APACHE" "$here/../CHANGELOG.md" "$here/packaging/README.md" "$work/$name/share/tidelog/"
install -m 644 "$here"/examples/*.c "$here"/examples/*.cpp "$work/$name/share/tidelog/examples/"
# The same bytes give the same archive.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work" -cf - "$name" | gzip -n >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "packed $out/$name.tar.gz"
