//! A message of the control channel, from any bytes: what is read can be said on.
#![no_main]

use tidelog_protocol::message::Control;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Control::decode(bytes) {
        assert_eq!(Control::decode(&message.encode()), Ok(message));
    }
});
