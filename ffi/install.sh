#!/bin/sh
# Builds libtidelog and installs it, with its headers, pkg-config and CMake files. Who uses it needs no Rust.
#
#   sh ffi/install.sh PREFIX                  all of it; the result can be moved, and packed as it is
#   sh ffi/install.sh PREFIX --engine-only    without replication, built for size; tidelog_features() tells
#   sh ffi/install.sh PREFIX --wasm           with libtidelog_wasm, which loads policies that are components
#   sh ffi/install.sh PREFIX --from DIR       what is in DIR (libtidelog_ffi.so and .a) instead of building
set -eu

usage() { sed -n '4,7s/^# *//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] || usage
prefix=$1 from= features= wasm= profile=dist
shift
while [ $# -gt 0 ]; do
    case $1 in
    --engine-only) features=--no-default-features profile=small ;;
    --wasm) wasm=yes ;;
    --from) [ $# -ge 2 ] || usage; from=$2; shift ;;
    *) usage ;;
    esac
    shift
done
[ "$profile$wasm" != smallyes ] || { echo "policies need replication: --wasm or --engine-only" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
major=${version%%.*}

given=$from
if [ -z "$from" ]; then
    # Named here, and not by the manifest, so that the two are optimised as wholes: a Rust library beside them forbids it.
    # shellcheck disable=SC2086
    (cd "$here" && cargo rustc --locked --profile "$profile" --lib $features --crate-type cdylib,staticlib)
    [ -z "$wasm" ] || (cd "$here/../plugins/ffi" && cargo rustc --locked --profile dist --lib --crate-type cdylib,staticlib)
    from=${CARGO_TARGET_DIR:-$here/../target}/$profile
fi

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake/Tidelog"
prefix=$(cd "$prefix" && pwd)
install -m 644 "$here/include/tidelog.h" "$here/include/tidelog.hpp" "$here/include/tidelog_values.hpp" "$prefix/include/"
# What cargo calls NAME_ffi, under the name it is linked by.
put() {
    install -m 755 "$from/lib$1_ffi.so" "$prefix/lib/lib$1.so.$version"
    install -m 644 "$from/lib$1_ffi.a" "$prefix/lib/lib$1.a"
    strip --strip-unneeded "$prefix/lib/lib$1.so.$version" 2>/dev/null || true
    strip --strip-debug "$prefix/lib/lib$1.a" 2>/dev/null || true
    ln -sf "lib$1.so.$version" "$prefix/lib/lib$1.so.$major"
    ln -sf "lib$1.so.$major" "$prefix/lib/lib$1.so"
}
# Hides all but our functions in an archive. Two of Rust that were optimised as wholes cannot be linked into one program otherwise: each
# defines the names of the standard library. What it was compiled from (.llvm*) is of no use there, and stops ar.
alone() {
    one=$1.o
    ld -r --force-group-allocation --whole-archive "$1" -o "$one"
    objcopy -w --keep-global-symbol="$2" -R .llvmbc -R .llvmcmd "$one"
    rm "$1"
    ar crs "$1" "$one"
    rm "$one"
}
fill() { sed -e "s/@VERSION@/$version/g" -e "s/@MAJOR@/$major/g" "$here/packaging/$1.in" >"$prefix/$2/$1"; }
put tidelog
[ -n "$given" ] || alone "$prefix/lib/libtidelog.a" 'tidelog_*'
fill tidelog.pc lib/pkgconfig
if [ -n "$wasm" ]; then
    install -m 644 "$here/../plugins/ffi/include/tidelog_wasm.h" "$prefix/include/"
    put tidelog_wasm
    alone "$prefix/lib/libtidelog_wasm.a" 'tidelog_wasm_*'
    fill tidelog-wasm.pc lib/pkgconfig
fi
fill TidelogConfig.cmake lib/cmake/Tidelog
fill TidelogConfigVersion.cmake lib/cmake/Tidelog
echo "installed tidelog $version in $prefix"
