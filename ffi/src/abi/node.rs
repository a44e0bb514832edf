//! Nodes: a store among its peers. Without `TIDELOG_FEATURE_REPLICATION` there is none, and what would make one returns
//! `TIDELOG_UNSUPPORTED`.

#![cfg_attr(
    not(feature = "replication"),
    allow(dead_code, reason = "the header has all of it, whatever is built in")
)]

use super::entry::entry;
use super::library::*;
use super::policy::{policy_of, tidelog_policy_table};
use super::query::bound;
use super::raw::{self, Plain, Sized32};
use super::result::{c_text, hand_out, tidelog_result};
use super::store::{OpenStore, taken, tidelog_store};
use crate::block::Table;
use crate::fault::Fault;
use crate::handle::{self, Handled};
use crate::node::{self, Part, Peer, Settings, Visit};
use crate::result::Rows;
use std::ffi::c_char;
use std::time::Duration;
use tidelog_engine::{CollectionName, TimeRange};

/// A store among its peers: follows them, is followed, compares and repairs.
pub struct tidelog_node {
    _opaque: [u8; 0],
}

impl Handled for node::OpenNode {
    const KIND: &'static str = "node";
}

/// Room for a fingerprint or an address, its NUL included.
pub const TIDELOG_TEXT_SIZE: usize = 128;

/// Makes a key and a certificate for a store, by which its peers know it: node.key, which nobody else may read, and node.crt, in
/// `folder`. `valid_days` is how long the certificate is good; zero: 3,650. `fingerprint` (at least `TIDELOG_TEXT_SIZE` bytes,
/// or NULL) gets the text to give to the peers.
///
/// Errors: `TIDELOG_LOCKED` when another key is there, `TIDELOG_IO`.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_identity_create(
    store: *const tidelog_store,
    folder: *const c_char,
    valid_days: u32,
    fingerprint: *mut c_char,
    capacity: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<OpenStore>(store.addr())?;
        check_capacity(fingerprint, capacity)?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let folder = raw::text(folder, "folder")?;
            let days = if valid_days == 0 { 3650 } else { valid_days };
            put_text(fingerprint, &node::identity_create(&open.store, folder.as_ref(), days)?)?;
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_identity_create", error, call) }
}

/// The fingerprint of the key and certificate in `folder`.
///
/// Errors: `TIDELOG_NOT_FOUND` when there is none, `TIDELOG_IO`.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_identity_fingerprint(
    folder: *const c_char,
    fingerprint: *mut c_char,
    capacity: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(fingerprint, "fingerprint")?;
        check_capacity(fingerprint, capacity)?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let folder = raw::text(folder, "folder")?;
            put_text(fingerprint, &node::identity_fingerprint(folder.as_ref())?)?;
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_identity_fingerprint", error, call) }
}

fn check_capacity(text: *mut c_char, capacity: usize) -> Result<(), Fault> {
    if text.is_null() || capacity >= TIDELOG_TEXT_SIZE {
        return Ok(());
    }
    Err(Fault::argument(format!("there are {capacity} bytes for a text: give {TIDELOG_TEXT_SIZE}")))
}

/// # Safety
/// `to` is NULL, or has room for `TIDELOG_TEXT_SIZE` bytes.
unsafe fn put_text(to: *mut c_char, text: &str) -> Result<(), Fault> {
    if to.is_null() {
        return Ok(());
    }
    let text = c_text(text);
    let bytes = text.as_bytes_with_nul();
    if bytes.len() > TIDELOG_TEXT_SIZE {
        return Err(Fault::limit(format!(
            "the text has {} bytes, and TIDELOG_TEXT_SIZE is {TIDELOG_TEXT_SIZE}: read it where it was set",
            bytes.len()
        )));
    }
    // SAFETY: it fits, and as promised to this function.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(())
}

/// A peer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_peer {
    /// Its name here.
    pub name: *const c_char,
    /// Where it listens, as "host:port".
    pub address: *const c_char,
    /// The fingerprint of its key, as its `tidelog_identity_fingerprint` or `tidelog pair` tells it.
    pub fingerprint: *const c_char,
}

// SAFETY: pointers.
unsafe impl Plain for tidelog_peer {
    const NAME: &'static str = "tidelog_peer";
}

/// How a store joins its peers: by a configuration file, or by what stands here.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_node_options {
    /// `sizeof(tidelog_node_options)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// How often stores are compared that follow each other; zero: every hour. Not with `config`.
    pub interval_ns: u64,
    /// How long after a link the first comparison that is not needed comes; zero: 30 s. Not with `config`.
    pub initial_delay_ns: u64,
    /// The file that `tidelog node --config` takes. It is watched: peers may change in it. Its store has to be this one. NULL: what
    /// follows counts.
    pub config: *const c_char,
    /// Where to listen, as "127.0.0.1:7447"; port 0 takes any.
    pub listen: *const c_char,
    /// The folder with this store's key and certificate.
    pub identity: *const c_char,
    /// The certificate of an authority that must vouch for every peer; NULL: fingerprints alone decide.
    pub authority: *const c_char,
    /// The peers.
    pub peers: *const tidelog_peer,
    /// How many they are.
    pub peer_count: usize,
    /// `sizeof(tidelog_peer)`, when there are any.
    pub peer_stride: usize,
    /// What decides about repairs, as for `tidelog_node_set_policy`. NULL: what `config` says in `[policy]`, or everything is repaired.
    /// Not with a `config` that has `[policy]`.
    pub policy: *const tidelog_policy_table,
}

// SAFETY: pointers and integers; where pointers have 4 bytes there are 4 of padding at the end, which are never looked at.
unsafe impl Plain for tidelog_node_options {
    const NAME: &'static str = "tidelog_node_options";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_node_options {}

fn nanos(nanos: u64) -> Option<Duration> {
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

/// # Safety
/// The pointers are what the header says.
pub unsafe fn settings(options: *const tidelog_node_options) -> Result<Settings, Fault> {
    // SAFETY: as promised to this function.
    let (given, policy, peers) = unsafe {
        let given = raw::options(options)?;
        // Read first, so that it is dropped on every way out.
        let policy = policy_of(given.policy)?;
        let peers = raw::structs(given.peers, given.peer_count, given.peer_stride, "peers")?;
        (given, policy, peers)
    };
    raw::check_flags(u64::from(given.reserved), 0, tidelog_node_options::NAME)?;
    let peer = |peer: &tidelog_peer| {
        // SAFETY: as promised to this function.
        unsafe {
            Ok::<_, Fault>(Peer {
                name: raw::text(peer.name, "the name of a peer")?.to_owned(),
                address: raw::text(peer.address, "the address of a peer")?.to_owned(),
                fingerprint: raw::text(peer.fingerprint, "the fingerprint of a peer")?.to_owned(),
            })
        }
    };
    // SAFETY: as promised to this function.
    let text = |text, what| unsafe { raw::text_or_null(text, what) };
    Ok(Settings {
        config: text(given.config, "config")?.map(Into::into),
        listen: text(given.listen, "listen")?.map(Into::into),
        identity: text(given.identity, "identity")?.map(Into::into),
        authority: text(given.authority, "authority")?.map(Into::into),
        peers: peers.iter().map(peer).collect::<Result<_, _>>()?,
        interval: nanos(given.interval_ns),
        initial_delay: nanos(given.initial_delay_ns),
        policy,
    })
}

/// Joins a store to its peers, on a few threads of the library's named "tidelog-node". Writes and queries go to the store as ever
/// and wait for none of this. Stop the node before the store is closed.
///
/// Errors: `TIDELOG_READ_ONLY`, `TIDELOG_NOT_FOUND` and `TIDELOG_IO` for files, `TIDELOG_NETWORK` when the address cannot be listened on,
/// `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_UNSUPPORTED` when `config` names a policy that is a component.
///
/// Threads: any. Blocks: disk. Since: 0.1.
/// Owns: `*node` is the caller's, to be ended by `tidelog_node_stop`; it is NULL after an error. A policy is taken as by
/// `tidelog_node_set_policy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_start(
    store: *mut tidelog_store,
    options: *const tidelog_node_options,
    node: *mut *mut tidelog_node,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointers, as the header says.
        let settings = unsafe {
            raw::put_if_wanted(node, std::ptr::null_mut());
            // Before all else that can fail, so that a policy in it is dropped on every way out.
            settings(options)?
        };
        raw::check_put(node, "node")?;
        let open = handle::find::<OpenStore>(store.addr())?;
        let started = node::start(&open.store, &open.path, settings)?;
        let handle = handle::insert(started)?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(node, std::ptr::without_provenance_mut(handle)) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_start", error, call) }
}

/// Leaves the peers: links are closed, threads end, and no event callback runs any more when this returns, unless one of them
/// calls it. The store stays open. Calls that wait with the node end with `TIDELOG_CLOSED`. `*node` is NULL afterwards; NULL is no
/// error.
///
/// Threads: any. Blocks: network, some seconds at most. Since: 0.1. Owns: takes `*node`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_stop(
    node: *mut *mut tidelog_node,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    unsafe {
        entry("tidelog_node_stop", error, || {
            let Some(handle) = taken(node) else { return Ok(TIDELOG_OK) };
            handle::take::<node::OpenNode>(handle)?.stop();
            Ok(TIDELOG_OK)
        })
    }
}

/// Where the node listens, as "127.0.0.1:7447", in `address` (at least `TIDELOG_TEXT_SIZE` bytes).
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_address(
    node: *const tidelog_node,
    address: *mut c_char,
    capacity: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(address, "address")?;
        check_capacity(address, capacity)?;
        let listens = handle::find::<node::OpenNode>(node.addr())?.address()?;
        // SAFETY: the caller's pointer, as the header says.
        unsafe { put_text(address, &listens)? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_address", error, call) }
}

/// Waits up to `timeout_ns` until what is needed of the peers is here: a comparison with one of them came to its end, or its log
/// was followed without a gap. `TIDELOG_OK`, or `TIDELOG_NOTHING` when that is not so by then; it goes on in the background.
///
/// Threads: any. Blocks: up to the timeout. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_ready(
    node: *const tidelog_node,
    timeout_ns: u64,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<node::OpenNode>(node.addr())?;
        let ready = open.ready(Duration::from_nanos(timeout_ns))?;
        Ok(if ready { TIDELOG_OK } else { TIDELOG_NOTHING })
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_ready", error, call) }
}

/// How the node stands with each peer: "peer", "store", "state", "why", "address" (string; the latter two absent where there is
/// nothing to tell), "lag_ms", "agreed_ms_ago" (absent when no comparison has agreed), "sessions", "sessions_failed", "rows_sent",
/// "rows_taken", "bytes_sent", "bytes_received", "rtt_us", "violations" (u64, absent for peers that were never linked). The state is
/// "connected", "syncing", "lagging", "repairing", "diverged", "clock ahead", "disconnected" or "not seen".
///
/// Threads: any. Blocks: shortly. Since: 0.1.
/// Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_status(
    node: *const tidelog_node,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let open = handle::find::<node::OpenNode>(node.addr())?;
            hand_out(Rows::of_table(open.status()?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_status", error, call) }
}

/// How each group stands with its other replicas: "group" (u64), "state" (string: "single copy", "syncing", "repairing", "degraded"
/// or "active"), "replicas", "linked" (u64).
///
/// Threads: any. Blocks: shortly. Since: 0.1. Owns: as `tidelog_node_status`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_groups(
    node: *const tidelog_node,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let open = handle::find::<node::OpenNode>(node.addr())?;
            hand_out(Rows::of_table(open.groups()?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_groups", error, call) }
}

/// What is compared and repaired. Zero means everything, with all peers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_repair_options {
    /// `sizeof(tidelog_repair_options)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Waited for at most so long; zero: one hour. It goes on in the background.
    pub timeout_ns: u64,
    /// Only with this peer; NULL: with all that are linked.
    pub peer: *const c_char,
    /// Only this collection; NULL: all.
    pub collection: *const c_char,
    /// Of the collection, the whole UTC hours from this nanosecond on; NULL: from the beginning.
    pub from_ns: *const i64,
    /// To the nanosecond before this one; NULL: to the end.
    pub to_ns: *const i64,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes.
unsafe impl Plain for tidelog_repair_options {
    const NAME: &'static str = "tidelog_repair_options";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_repair_options {}

/// Compares with peers now, repairs what differs, and waits until that is over. One row for each peer: "peer", "outcome" (string:
/// "agreed", "partial", "diverged", "different" or "aborted"), "why" (string, absent unless aborted), "leaves" (leaf windows that
/// differed), "rows_sent", "rows_taken", "bytes_sent", "bytes_received", "ms" (u64), "root" (bytes, absent where there is none). A part that
/// was asked for ends as "partial" where stores differ outside of it. `options` may be NULL.
///
/// Errors: `TIDELOG_PEER` when no such peer is linked, `TIDELOG_CLOSED` when the node was stopped.
///
/// Threads: any. Blocks: network, up to the timeout. Since: 0.1. Owns: as `tidelog_node_status`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_repair(
    node: *const tidelog_node,
    options: *const tidelog_repair_options,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let open = handle::find::<node::OpenNode>(node.addr())?;
            hand_out(Rows::of_table(repair(&open, options)?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_repair", error, call) }
}

/// # Safety
/// `options` is NULL or what the header says.
pub unsafe fn repair(
    node: &node::OpenNode,
    options: *const tidelog_repair_options,
) -> Result<Table, Fault> {
    // SAFETY: as promised to this function.
    unsafe {
        let given = raw::options(options)?;
        raw::check_flags(u64::from(given.reserved), 0, tidelog_repair_options::NAME)?;
        let part = part(&given)?;
        let peer = raw::text_or_null(given.peer, "peer")?;
        let limit = nanos(given.timeout_ns).unwrap_or(Duration::from_secs(3600));
        node.repair(peer, part, limit)
    }
}

/// # Safety
/// The pointers are what the header says.
unsafe fn part(given: &tidelog_repair_options) -> Result<Option<Part>, Fault> {
    // SAFETY: as promised to this function.
    let (collection, from, to) = unsafe {
        (
            raw::text_or_null(given.collection, "collection")?,
            bound(given.from_ns),
            bound(given.to_ns),
        )
    };
    let Some(collection) = collection else {
        if from.is_some() || to.is_some() {
            return Err(Fault::argument(
                "from_ns and to_ns are times of a collection: name it, too",
            ));
        }
        return Ok(None);
    };
    let range = TimeRange::new(from, to)
        .ok_or_else(|| Fault::argument("from_ns is not before to_ns: correct the range"))?;
    Ok(Some(Part { collection: CollectionName::parse(collection)?, range }))
}

/// Another policy decides about repairs from the next round on; NULL: everything is repaired, as without one. A round that is under way
/// is planned by the one before, whose `drop` follows. A policy that fails, answers late, or gives a plan that does not fit loses the
/// round: everything is repaired instead, and `TIDELOG_EVENT_PLANNED` says why; after three such rounds in a minute it is left alone for
/// a while. `tidelog_node_repair` asks no policy. To have one from the first comparison on, start the node with it.
///
/// `drop` of the table (may be NULL) is called once with `user` when the policy is not asked any more, at the latest while the node stops,
/// and also after an error; not when the table itself cannot be read, for its size or for something in it that this library does
/// not know. A callback that does not return is not waited for: its `drop` comes when it does.
///
/// Errors: `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_UNKNOWN_OPTION`, `TIDELOG_CLOSED` when the node was stopped.
///
/// Threads: any; the policy is asked on one of the library's. Blocks: shortly. Since: 0.1.
/// Owns: `user` is the library's until `drop`; the rest of the table is read during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_set_policy(
    node: *const tidelog_node,
    table: *const tidelog_policy_table,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // Read first, so that it is dropped on every way out.
        // SAFETY: the caller's pointer, as the header says.
        let given = unsafe { policy_of(table)? };
        handle::find::<node::OpenNode>(node.addr())?.set_policy(given)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_set_policy", error, call) }
}

/// One comparison with a running node.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_sync_options {
    /// `sizeof(tidelog_sync_options)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Gives up after so long without success; zero: 300 s.
    pub timeout_ns: u64,
    /// Where the node listens, as "host:port".
    pub peer: *const c_char,
    /// The fingerprint of its key.
    pub fingerprint: *const c_char,
    /// The folder with this store's key and certificate.
    pub identity: *const c_char,
}

// SAFETY: pointers and integers; where pointers have 4 bytes there are 4 of padding at the end, which are never looked at.
unsafe impl Plain for tidelog_sync_options {
    const NAME: &'static str = "tidelog_sync_options";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_sync_options {}

/// Compares a store with a running node once, repairs what differs in both, and leaves. What was just written goes too. One row, as of
/// `tidelog_node_repair`; `TIDELOG_OK` also when the stores are not equal afterwards: look at "outcome".
///
/// Errors: `TIDELOG_PEER` when the node refuses or cannot be reached, `TIDELOG_NETWORK`, `TIDELOG_NOT_FOUND` and `TIDELOG_IO` for files.
///
/// Threads: any; a few of the library's work while it lasts. Blocks: network, up to the timeout. Since: 0.1.
/// Owns: as `tidelog_node_status`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_sync(
    store: *mut tidelog_store,
    options: *const tidelog_sync_options,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let open = handle::find::<OpenStore>(store.addr())?;
            hand_out(Rows::of_table(node::sync(&open.store, &visit(options)?)?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_sync", error, call) }
}

/// # Safety
/// `options` is NULL or what the header says.
pub unsafe fn visit(options: *const tidelog_sync_options) -> Result<Visit, Fault> {
    // SAFETY: as promised to this function.
    unsafe {
        let given = raw::options(options)?;
        raw::check_flags(u64::from(given.reserved), 0, tidelog_sync_options::NAME)?;
        Ok(Visit {
            peer: raw::text(given.peer, "peer")?.to_owned(),
            fingerprint: raw::text(given.fingerprint, "fingerprint")?.to_owned(),
            identity: raw::text(given.identity, "identity")?.into(),
            limit: nanos(given.timeout_ns).unwrap_or(Duration::from_secs(300)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_an_error_and_not_half_of_it() {
        let mut room: [c_char; TIDELOG_TEXT_SIZE] = [1; TIDELOG_TEXT_SIZE];
        let (fits, long) = ("x".repeat(TIDELOG_TEXT_SIZE - 1), "x".repeat(TIDELOG_TEXT_SIZE));
        // SAFETY: it has that room.
        let refused = unsafe { put_text(room.as_mut_ptr(), &long) }.unwrap_err();
        assert_eq!((refused.code, room[0]), (TIDELOG_LIMIT, 1));
        // SAFETY: as above.
        unsafe { put_text(room.as_mut_ptr(), &fits) }.unwrap();
        assert_eq!(room[TIDELOG_TEXT_SIZE - 1], 0);
    }
}
