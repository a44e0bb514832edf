//! A node file or a part of one, from any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidelog_engine::fuzzing::node_file(bytes));
