//! A log file or a payload of the log, from any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidelog_engine::fuzzing::wal_frame(bytes));
