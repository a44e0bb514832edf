//! A generation of the manifest, an edit or a tombstone, from any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidelog_engine::fuzzing::manifest(bytes));
