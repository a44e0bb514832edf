//! A message of a snapshot, from any bytes: what is read can be said on.
#![no_main]

use tidelog_protocol::snapshot::SnapshotMessage;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = SnapshotMessage::decode(bytes) {
        assert_eq!(SnapshotMessage::decode(&message.encode()), Ok(message));
    }
});
