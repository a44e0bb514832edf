//! What a node tells of what happens to it.

#![cfg_attr(
    not(feature = "replication"),
    allow(dead_code, reason = "the header has all of it, whatever is built in")
)]

use super::callback::{Callback, tidelog_drop_fn};
use super::entry::entry;
use super::library::*;
use super::node::tidelog_node;
use super::raw;
use super::result::c_text;
use crate::handle;
use crate::node::{Heard, OpenNode};
use std::ffi::{c_char, c_void};

/// Something else than what follows, from a later version.
pub const TIDELOG_EVENT_OTHER: u32 = 0;
/// A peer greeted, and both can speak.
pub const TIDELOG_EVENT_CONNECTED: u32 = 1;
/// A link is gone.
pub const TIDELOG_EVENT_DISCONNECTED: u32 = 2;
/// A peer cannot be a replica as it is.
pub const TIDELOG_EVENT_REFUSED: u32 = 3;
/// A comparison began.
pub const TIDELOG_EVENT_STARTED: u32 = 4;
/// A comparison goes on.
pub const TIDELOG_EVENT_PROGRESS: u32 = 5;
/// Files of a peer are being received.
pub const TIDELOG_EVENT_RECEIVING: u32 = 6;
/// All files that a peer offered are here.
pub const TIDELOG_EVENT_RECEIVED: u32 = 7;
/// Files could not be received now.
pub const TIDELOG_EVENT_NOT_RECEIVED: u32 = 8;
/// A comparison came to its end.
pub const TIDELOG_EVENT_COMPLETED: u32 = 9;
/// A comparison did not; it is tried again.
pub const TIDELOG_EVENT_FAILED: u32 = 10;
/// What a peer sends cannot be taken now.
pub const TIDELOG_EVENT_STALLED: u32 = 11;
/// It is taken again.
pub const TIDELOG_EVENT_RESUMED: u32 = 12;
/// What is needed of the peers is here.
pub const TIDELOG_EVENT_READY: u32 = 13;
/// A file here is damaged: what could be read of it was kept, and peers are asked for the rest. Until it is here, answers that need it
/// are refused.
pub const TIDELOG_EVENT_DAMAGED: u32 = 14;
/// A peer agrees on all that a damaged file held: what it had of it is here again.
pub const TIDELOG_EVENT_HEALED: u32 = 15;
/// A policy was asked what of a comparison is repaired; `why` tells when everything is repaired instead.
pub const TIDELOG_EVENT_PLANNED: u32 = 16;

/// A group, and its epoch where one is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_group_epoch {
    /// The group.
    pub group: u32,
    /// Zero.
    pub reserved: u32,
    /// Its epoch in the topology; zero where there is none.
    pub epoch: u64,
}

/// Something that happened. Good during the callback only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_event {
    /// Its size in the library, which may be greater than the header's.
    pub struct_size: u32,
    /// `TIDELOG_EVENT_*`.
    pub kind: u32,
    /// The peer's name; NULL when it concerns all.
    pub peer: *const c_char,
    /// Of what has one: how it ended, as in `tidelog_node_repair`; else NULL.
    pub outcome: *const c_char,
    /// Why, where there is something to say; else NULL.
    pub why: *const c_char,
    /// Which comparison, where it is about one.
    pub session: u64,
    /// Of a comparison: leaf windows that differed.
    pub leaves: u64,
    /// Rows sent for it.
    pub rows_sent: u64,
    /// Rows taken; of files, rows in them; of a damaged file, rows it had.
    pub rows_taken: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes there are to receive, of files.
    pub bytes_total: u64,
    /// Milliseconds since it began.
    pub elapsed_ms: u64,
    /// Events before this one that were lost because the callback was too slow.
    pub lost: u64,
    /// Of a damaged file and of one that was healed: which, in the store's directory; else NULL.
    pub file: *const c_char,
    /// Of a comparison that began: its groups, with their epochs; of a damaged or healed file: its group. NULL when there are none.
    pub groups: *const tidelog_group_epoch,
    /// How many they are.
    pub group_count: usize,
    /// Bytes from one to the next.
    pub group_stride: usize,
    /// Of a round of a policy: its name; else NULL.
    pub policy: *const c_char,
    /// So many windows differ.
    pub windows: u32,
    /// So many are repaired now, in one direction at least.
    pub repaired: u32,
    /// Of so many rollups are borrowed.
    pub rollups: u32,
    /// So many had waited too long: they are repaired whatever the policy says.
    pub overdue: u32,
}

/// Handed each event, on a thread of the library's named "tidelog-events", one at a time, with no lock held: it may call any
/// function, `tidelog_node_stop` too. Nothing waits for it; one that is more than 1,024 events behind misses the oldest. Returns 0
/// to go on, anything else to hear no more. It must not throw, longjmp or fork.
pub type tidelog_event_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, event: *const tidelog_event) -> i32>;

impl Callback<tidelog_event_fn> {
    /// Hands an event over; whether more are wanted.
    pub(crate) fn event(&self, heard: &Heard) -> bool {
        let (Some(function), user) = self.parts() else { return false };
        // SAFETY: the caller's function with the caller's pointer, one call at a time.
        heard.tell(|event| unsafe { function(user, event) == 0 })
    }
}

impl Heard {
    /// Calls a function with the event, which is good during the call.
    pub fn tell<T>(&self, to: impl FnOnce(&tidelog_event) -> T) -> T {
        let heard = self;
        let (peer, why) = (heard.peer.as_deref().map(c_text), heard.why.as_deref().map(c_text));
        let (outcome, file) = (heard.outcome.map(c_text), heard.file.as_deref().map(c_text));
        let policy = heard.policy.as_deref().map(c_text);
        let groups = heard.groups.iter();
        let groups: Vec<tidelog_group_epoch> = groups
            .map(|(group, epoch)| tidelog_group_epoch { group: *group, reserved: 0, epoch: *epoch })
            .collect();
        let pointer = |text: &Option<std::ffi::CString>| {
            text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
        };
        let event = tidelog_event {
            struct_size: u32::try_from(size_of::<tidelog_event>()).unwrap_or(u32::MAX),
            kind: heard.kind,
            peer: pointer(&peer),
            outcome: pointer(&outcome),
            why: pointer(&why),
            session: heard.session,
            leaves: heard.leaves,
            rows_sent: heard.rows_sent,
            rows_taken: heard.rows_taken,
            bytes_sent: heard.bytes_sent,
            bytes_received: heard.bytes_received,
            bytes_total: heard.bytes_total,
            elapsed_ms: heard.elapsed_ms,
            lost: heard.lost,
            file: pointer(&file),
            groups: if groups.is_empty() { std::ptr::null() } else { groups.as_ptr() },
            group_count: groups.len(),
            group_stride: size_of::<tidelog_group_epoch>(),
            policy: pointer(&policy),
            windows: heard.windows,
            repaired: heard.repaired,
            rollups: heard.rollups,
            overdue: heard.overdue,
        };
        to(&event)
    }
}

/// Hands what happens from now on to `function`. Several callbacks each hear everything; each ends with the node, or when it says
/// so. `drop` (may be NULL) is called once with `user` when it has ended, also after an error.
///
/// Threads: any; events come on one of the library's. Blocks: no. Since: 0.1. Owns: `user` is the library's until `drop`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_node_on_event(
    node: *const tidelog_node,
    function: tidelog_event_fn,
    user: *mut c_void,
    drop: tidelog_drop_fn,
    error: *mut tidelog_error,
) -> tidelog_status {
    // Made first, so that it is dropped on every way out.
    let callback = Callback::new(function, user, drop);
    let call = || {
        if function.is_none() {
            return Err(raw::null("function"));
        }
        handle::find::<OpenNode>(node.addr())?
            .listen(move |heard: &Heard| callback.event(heard))?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_node_on_event", error, call) }
}
