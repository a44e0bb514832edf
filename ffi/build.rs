//! Gives the shared library its soname: cargo has no setting for it, and without one a program records the path it was linked by.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let (os, major) = (env::var("CARGO_CFG_TARGET_OS"), env::var("CARGO_PKG_VERSION_MAJOR"));
    if let (Ok("linux"), Ok(major)) = (os.as_deref(), major) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtidelog.so.{major}");
    }
}
