//! Writes and compiles the C++ half of the bridge; the headers it includes are those of `ffi/include`.

fn main() {
    let include = "../../ffi/include";
    cxx_build::bridge("src/bridge.rs").std("c++17").include(include).compile("tidelog_cxx_bridge");
    println!("cargo::rerun-if-changed=src/bridge.rs");
    for header in ["tidelog.h", "tidelog_values.hpp"] {
        println!("cargo::rerun-if-changed={include}/{header}");
    }
}
