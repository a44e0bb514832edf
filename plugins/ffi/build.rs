//! Gives the shared library its soname, as libtidelog has one, and keeps it in the process: a thread of its own ends calls of
//! policies, and would go on without its code after a dlclose.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let (os, major) = (env::var("CARGO_CFG_TARGET_OS"), env::var("CARGO_PKG_VERSION_MAJOR"));
    if let (Ok("linux"), Ok(major)) = (os.as_deref(), major) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtidelog_wasm.so.{major}");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
