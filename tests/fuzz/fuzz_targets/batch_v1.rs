//! A `BatchV1` archive, from any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidelog_engine::fuzzing::batch_v1(bytes));
