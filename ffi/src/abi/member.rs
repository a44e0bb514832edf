//! Who is a replica, and of what: epochs, replicas that are forgotten, groups that are given up.

#![cfg_attr(
    not(feature = "replication"),
    allow(dead_code, reason = "the header has all of it, whatever is built in")
)]

use super::entry::entry;
use super::library::*;
use super::node::tidelog_node;
use super::raw::{self, Plain, Sized32};
use super::result::{hand_out, tidelog_result};
use super::store::{store_of, tidelog_store};
use crate::handle;
use crate::node::{self, OpenNode};
use crate::result::Rows;
use crate::tables;
use std::ffi::c_char;

/// The highest epoch that was seen of each group that has any: "group", "epoch" (u64).
///
/// Threads: any. Blocks: no. Since: 0.1.
/// Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_epochs(
    store: *const tidelog_store,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            hand_out(Rows::of_table(tables::epochs(&store_of(store)?)), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_epochs", error, call) }
}

/// Groups whose epoch in the node's configuration is older than one that was seen: "group", "epoch", "seen" (u64). Who else holds
/// them is not spoken with until the file is updated.
///
/// Threads: any. Blocks: shortly. Since: 0.1. Owns: as `tidelog_epochs`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_behind(
    node: *const tidelog_node,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let open = handle::find::<OpenNode>(node.addr())?;
            hand_out(Rows::of_table(open.behind()?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_behind", error, call) }
}

/// Lets go of a replica that will not come back: keeps nothing for it, and refuses it from then on. `who` is its name, if it was
/// linked since the node started, or its store id. Take it out of the configuration first, on every node. Its rows that are here
/// stay. `store_id` (16 bytes, or NULL) gets which store it was.
///
/// Errors: `TIDELOG_PEER` when it is still configured or linked, `TIDELOG_NOT_FOUND` when nothing is kept for it.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_forget(
    node: *const tidelog_node,
    who: *const c_char,
    store_id: *mut u8,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<OpenNode>(node.addr())?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let id = open.forget(raw::text(who, "who")?)?;
            raw::put_if_wanted(store_id.cast::<[u8; 16]>(), id);
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_forget", error, call) }
}

/// As `tidelog_node_forget`, for a store whose node does not run: `config` is the file of its node, `who` a store id.
///
/// Errors: as `tidelog_node_forget`; those of reading the file.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_forget(
    store: *mut tidelog_store,
    config: *const c_char,
    who: *const c_char,
    store_id: *mut u8,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let (config, who) = (raw::text(config, "config")?, raw::text(who, "who")?);
            let id = node::forget(&store, config.as_ref(), who)?;
            raw::put_if_wanted(store_id.cast::<[u8; 16]>(), id);
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_forget", error, call) }
}

/// A group that was given up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_dropped_group {
    /// `sizeof(tidelog_dropped_group)`, set by the caller.
    pub struct_size: u32,
    /// Which group.
    pub group: u32,
    /// Rows removed.
    pub rows: u64,
    /// Bytes removed.
    pub bytes: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_dropped_group {
    const NAME: &'static str = "tidelog_dropped_group";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_dropped_group {}

/// Removes the rows of a group that the configuration does not place on this node any more, once every other store that holds it
/// has agreed, in this call, that it has all of them. `dropped` may be NULL.
///
/// Errors: `TIDELOG_PEER` says which store did not agree and why: nothing was removed then. `TIDELOG_INVALID_ARGUMENT` when the group is
/// placed here, or there is none.
///
/// Threads: any. Blocks: network and disk, long. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_drop_group(
    node: *const tidelog_node,
    group: u32,
    dropped: *mut tidelog_dropped_group,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<OpenNode>(node.addr())?;
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::check_out(dropped)? };
        let (rows, bytes) = open.drop_group(group)?;
        let filled = tidelog_dropped_group { struct_size: 0, group, rows, bytes };
        // SAFETY: as above.
        unsafe { raw::fill_if_wanted(dropped, &filled)? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_drop_group", error, call) }
}
