//! A node that travels, from any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidelog_engine::fuzzing::parcel(bytes));
