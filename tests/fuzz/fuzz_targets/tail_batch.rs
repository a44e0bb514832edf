//! A message of a tail, from any bytes: what is read can be said on.
#![no_main]

use tidelog_protocol::message::TailBatch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = TailBatch::decode(bytes) {
        assert_eq!(TailBatch::decode(&message.encode()), Ok(message));
    }
});
