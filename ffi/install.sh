#!/bin/sh
# Builds libtidelog and installs it, with its headers, pkg-config and CMake files. Who uses it needs no Rust.
#
#   sh ffi/install.sh PREFIX                  all of it; the result can be moved, and packed as it is
#   sh ffi/install.sh PREFIX --engine-only    without replication: smaller, tidelog_features() tells
#   sh ffi/install.sh PREFIX --from DIR       what is in DIR (libtidelog_ffi.so and .a) instead of building
set -eu

usage() { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] || usage
prefix=$1 from= features=
shift
while [ $# -gt 0 ]; do
    case $1 in
    --engine-only) features=--no-default-features ;;
    --from) [ $# -ge 2 ] || usage; from=$2; shift ;;
    *) usage ;;
    esac
    shift
done
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
major=${version%%.*}

if [ -z "$from" ]; then
    # Named here, and not by the manifest, so that the two are optimised as wholes: a Rust library beside them forbids it.
    # shellcheck disable=SC2086
    (cd "$here" && cargo rustc --locked --profile dist --lib $features --crate-type cdylib,staticlib)
    from=${CARGO_TARGET_DIR:-$here/../target}/dist
fi

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake/Tidelog"
prefix=$(cd "$prefix" && pwd)
install -m 644 "$here/include/tidelog.h" "$here/include/tidelog.hpp" "$here/include/tidelog_values.hpp" "$prefix/include/"
install -m 755 "$from/libtidelog_ffi.so" "$prefix/lib/libtidelog.so.$version"
install -m 644 "$from/libtidelog_ffi.a" "$prefix/lib/libtidelog.a"
strip --strip-unneeded "$prefix/lib/libtidelog.so.$version" 2>/dev/null || true
strip --strip-debug "$prefix/lib/libtidelog.a" 2>/dev/null || true
ln -sf "libtidelog.so.$version" "$prefix/lib/libtidelog.so.$major"
ln -sf "libtidelog.so.$major" "$prefix/lib/libtidelog.so"
fill() { sed -e "s/@VERSION@/$version/g" -e "s/@MAJOR@/$major/g" "$here/packaging/$1.in" >"$prefix/$2/$1"; }
fill tidelog.pc lib/pkgconfig
fill TidelogConfig.cmake lib/cmake/Tidelog
fill TidelogConfigVersion.cmake lib/cmake/Tidelog
echo "installed tidelog $version in $prefix"
