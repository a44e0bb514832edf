//! What tables point to: the name and the hash of a policy, kept for as long as the process lives.
//!
//! A host that holds on to a table, or hands it over once more after an error, has both read when the policy may be gone. Each pair is kept
//! once, so a process keeps as many as it has loaded different policies.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

/// Who a policy is.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Identity {
    pub(crate) name: CString,
    /// BLAKE3 of the component.
    pub(crate) hash: [u8; 32],
}

static KEPT: Mutex<BTreeSet<&'static Identity>> = Mutex::new(BTreeSet::new());

/// The one that stays.
pub(crate) fn kept(identity: Identity) -> &'static Identity {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get::<Identity>(&identity) {
        return known;
    }
    let new: &'static Identity = Box::leak(Box::new(identity));
    kept.insert(new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_loaded_again_is_kept_once() {
        let loaded = |name: &str, byte: u8| {
            kept(Identity { name: CString::new(name).unwrap(), hash: [byte; 32] })
        };
        let first = loaded("a", 1);
        assert!(std::ptr::eq(first, loaded("a", 1)));
        for (name, byte) in [("a", 2), ("b", 1)] {
            let other = loaded(name, byte);
            assert_eq!((other.name.to_str(), other.hash), (Ok(name), [byte; 32]));
        }
    }
}
