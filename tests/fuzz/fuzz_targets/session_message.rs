//! A message of a comparison, from any bytes: what is read can be said on.
#![no_main]

use tidelog_protocol::message::SessionMessage;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = SessionMessage::decode(bytes) {
        assert_eq!(SessionMessage::decode(&message.encode()), Ok(message));
    }
});
