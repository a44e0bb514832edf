//! Policies: how differences between replicas are repaired. A policy decides which windows are repaired now, in which direction and
//! from whom; never which value wins.

use super::callback::{Callback, tidelog_drop_fn};
use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::result::{c_text, hand_out, tidelog_result};
use crate::block::Table;
use crate::fault::Fault;
use crate::handle;
use crate::policy::{Asked, Given, OpenPlan, replay};
use crate::result::Rows;
use std::ffi::{CString, c_char, c_void};
use std::time::Duration;
use tidelog_model::policy::{
    Action, Cost, Divergence, PeerFacts, PolicyError, PolicyErrorKind, Round, Side, Step,
};

/// Bytes over a link cost nothing.
pub const TIDELOG_COST_FREE: u32 = 0;
/// Each byte is paid for: a mobile network, a satellite.
pub const TIDELOG_COST_METERED: u32 = 1;

/// What a policy is told of a peer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_peer {
    /// Which store it is.
    pub store_id: [u8; 16],
    /// 1: it can be reached now; 0: it cannot, and no step may name it.
    pub up: u32,
    /// What its link costs, as the topology says: `TIDELOG_COST_*`.
    pub cost: u32,
    /// The round-trip time of its link in microseconds; 0: not known.
    pub rtt_us: u32,
    /// Zero.
    pub reserved: u32,
    /// Milliseconds since this store last had all that the peer had written.
    pub lag_ms: u64,
    /// Milliseconds since both last agreed; `UINT64_MAX`: not since the node started.
    pub agreed_ms_ago: u64,
}

/// What a side has in a window.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_side {
    /// Rows that can be seen.
    pub rows: u64,
    /// About how many bytes they are, before they are encoded.
    pub bytes: u64,
}

/// A window in which two stores differ.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_window {
    /// The collection, as "database.collection".
    pub collection: *const c_char,
    /// The group.
    pub group: u32,
    /// So many devices differ in it; 0: it is not known how many.
    pub devices: u32,
    /// Its first nanosecond.
    pub first_ns: i64,
    /// Its last nanosecond, which is in it. Windows are whole leaf windows: one, or some in a row of which one side has nothing.
    pub last_ns: i64,
    /// What is here.
    pub ours: tidelog_policy_side,
    /// What the peer has.
    pub theirs: tidelog_policy_side,
    /// Milliseconds since it was first seen to differ.
    pub age_ms: u64,
    /// 1: rollups of the peer were borrowed for it; else 0.
    pub borrowed: u32,
    /// Zero.
    pub reserved: u32,
}

/// What a policy is told, once for each plan. A plan follows from it alone, clock and budget included: so rounds can be recorded and
/// planned again. Good during the callback only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_round {
    /// Its size in the library, which may be greater than the header's.
    pub struct_size: u32,
    /// With whom this comparison is: an index into `peers`.
    pub peer: u32,
    /// The wall clock: milliseconds since 1970 in UTC.
    pub now_ms: u64,
    /// Bytes that repairs may still send and receive until the budget is filled up again; `UINT64_MAX`: there is no bound.
    pub budget_bytes: u64,
    /// A window that has differed for so many milliseconds is repaired whatever the plan says.
    pub max_deferral_ms: u64,
    /// The peers that this store is linked with or waits for, 64 at most. NULL when there are none.
    pub peers: *const tidelog_policy_peer,
    /// How many they are.
    pub peer_count: usize,
    /// Bytes from one to the next.
    pub peer_stride: usize,
    /// The windows that differ, 1,000 at most, ascending by group, collection and time. NULL when there are none.
    pub windows: *const tidelog_policy_window,
    /// How many they are.
    pub window_count: usize,
    /// Bytes from one to the next.
    pub window_stride: usize,
}

/// Nothing until the next comparison; so it is with windows that no step names.
pub const TIDELOG_ACTION_SKIP: u32 = 0;
/// Rows that the peer has and this store lacks come.
pub const TIDELOG_ACTION_PULL: u32 = 1;
/// Rows that this store has and the peer lacks go.
pub const TIDELOG_ACTION_PUSH: u32 = 2;
/// Both.
pub const TIDELOG_ACTION_BOTH: u32 = 3;
/// Nothing before a time.
pub const TIDELOG_ACTION_DEFER: u32 = 4;
/// The peer's rollups by hour come and answer queries until the rows do.
pub const TIDELOG_ACTION_ROLLUPS: u32 = 5;

/// One decision. The order of steps is the order of repair.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_step {
    /// An index into the windows of the round; each is named once at most.
    pub window: u32,
    /// From whom, or to whom: an index into the peers of the round, of one that is up. Another one than the comparison is with: it
    /// is left to a comparison with that one, which begins soon.
    pub peer: u32,
    /// `TIDELOG_ACTION_*`.
    pub action: u32,
    /// Zero.
    pub reserved: u32,
    /// Of `TIDELOG_ACTION_DEFER`: milliseconds since 1970 in UTC. Zero for all others.
    pub until_ms: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_policy_step {
    const NAME: &'static str = "tidelog_policy_step";
}

/// A plan while a policy makes it.
pub struct tidelog_policy_plan {
    _opaque: [u8; 0],
}

/// Plans a round: adds steps with `tidelog_policy_plan_add` and returns `TIDELOG_OK`. Anything else means that there is no plan:
/// `TIDELOG_UNSUPPORTED` and `TIDELOG_INVALID_ARGUMENT` as they say, any other status for what failed; `tidelog_policy_plan_explain`
/// says it in words.
///
/// It is called on a thread of the library's named "tidelog-node", one call at a time, with no lock held, and neither writes nor queries
/// wait for it. It may block until its timeout; a plan that comes later is not used. `round` and `plan` are good until it returns. It may call
/// any function, but `tidelog_node_stop` for its own node would wait for it, some seconds. It must not throw, longjmp or fork.
pub type tidelog_policy_plan_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        round: *const tidelog_policy_round,
        plan: *mut tidelog_policy_plan,
    ) -> i32,
>;

/// A policy and its bounds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_table {
    /// `sizeof(tidelog_policy_table)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// A short name, for events and status.
    pub name: *const c_char,
    /// Plans a round.
    pub plan: tidelog_policy_plan_fn,
    /// Called once with `user` when the policy is not asked any more; may be NULL.
    pub drop: tidelog_drop_fn,
    /// Handed to `plan` and `drop`.
    pub user: *mut c_void,
    /// Any bytes that tell this policy from the same one with other options: peers and status see a hash of name and options. Read
    /// during the call.
    pub options: *const u8,
    /// How many they are.
    pub options_length: usize,
    /// A window that has differed for so many milliseconds is repaired whatever the policy says, 1,000 at least; zero: a week.
    pub max_deferral_ms: u64,
    /// A plan that has not come after so many milliseconds is not waited for, 10 to 10,000; zero: 1,000.
    pub timeout_ms: u64,
    /// Over metered links comparisons may send and receive so many bytes in a UTC day; zero: there is no bound.
    pub bytes_per_day: u64,
    /// The file in which it is kept since when windows wait, and what is used of the budget; NULL: both begin anew with each policy.
    pub state: *const c_char,
    /// Each round and its plan are added to this file, up to 64 MiB: a `uint32_t` length, little-endian, then as many bytes, which
    /// `tidelog_policy_replay` takes. NULL: nothing is recorded.
    pub record: *const c_char,
}

// SAFETY: pointers and integers, and functions that may be NULL; where pointers have 4 bytes there are 4 of padding between them, which
// are never looked at.
unsafe impl Plain for tidelog_policy_table {
    const NAME: &'static str = "tidelog_policy_table";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_policy_table {}

/// Shows a round as the header has it, during a call.
fn told<T>(round: &Round, to: impl FnOnce(&tidelog_policy_round) -> T) -> T {
    let name = |one: &Divergence| c_text(&one.collection.to_string());
    let names: Vec<CString> = round.windows.iter().map(name).collect();
    let peers: Vec<tidelog_policy_peer> = round.peers.iter().map(peer).collect();
    let windows = round.windows.iter().zip(&names);
    let windows: Vec<_> = windows.map(|(one, name)| window(one, name)).collect();
    to(&tidelog_policy_round {
        struct_size: u32::try_from(size_of::<tidelog_policy_round>()).unwrap_or(u32::MAX),
        peer: round.peer,
        now_ms: round.now,
        budget_bytes: round.budget,
        max_deferral_ms: round.max_deferral,
        peers: start(&peers),
        peer_count: peers.len(),
        peer_stride: size_of::<tidelog_policy_peer>(),
        windows: start(&windows),
        window_count: windows.len(),
        window_stride: size_of::<tidelog_policy_window>(),
    })
}

fn start<T>(array: &[T]) -> *const T {
    if array.is_empty() { std::ptr::null() } else { array.as_ptr() }
}

fn peer(one: &PeerFacts) -> tidelog_policy_peer {
    tidelog_policy_peer {
        store_id: one.store.0,
        up: one.up.into(),
        cost: match one.cost {
            Cost::Free => TIDELOG_COST_FREE,
            Cost::Metered => TIDELOG_COST_METERED,
        },
        rtt_us: one.rtt,
        reserved: 0,
        lag_ms: one.lag,
        agreed_ms_ago: one.agreed,
    }
}

fn window(one: &Divergence, name: &CString) -> tidelog_policy_window {
    let side = |side: Side| tidelog_policy_side { rows: side.rows, bytes: side.bytes };
    tidelog_policy_window {
        collection: name.as_ptr(),
        group: one.group.0,
        devices: one.devices,
        first_ns: one.range.first(),
        last_ns: one.range.last(),
        ours: side(one.ours),
        theirs: side(one.theirs),
        age_ms: one.age,
        borrowed: one.borrowed.into(),
        reserved: 0,
    }
}

/// A step of the model. Whether it fits its round is not looked at here, for all policies are held to that by the same check.
fn step_of(step: &tidelog_policy_step) -> Result<Step, Fault> {
    raw::check_flags(u64::from(step.reserved), 0, tidelog_policy_step::NAME)?;
    let tidelog_policy_step { window, peer, action, until_ms, .. } = *step;
    let action = match action {
        TIDELOG_ACTION_SKIP => Action::Skip,
        TIDELOG_ACTION_PULL => Action::Pull,
        TIDELOG_ACTION_PUSH => Action::Push,
        TIDELOG_ACTION_BOTH => Action::Both,
        TIDELOG_ACTION_DEFER => Action::Defer(until_ms),
        TIDELOG_ACTION_ROLLUPS => Action::Rollups,
        other => {
            return Err(Fault::argument(format!(
                "the step for window {window} has the action {other}: give one of TIDELOG_ACTION_*"
            )));
        }
    };
    if until_ms != 0 && !matches!(action, Action::Defer(_)) {
        return Err(Fault::argument(format!(
            "the step for window {window} has until_ms and does not defer: set it with TIDELOG_ACTION_DEFER only"
        )));
    }
    Ok(Step { window, action, peer })
}

/// Adds steps to a plan, in the order of repair, `stride` (`sizeof(tidelog_policy_step)`) bytes from one to the next. Whether they fit
/// the round is checked when the callback returns: a plan that names a window twice, a window or a peer that is not there, or a peer
/// that is not up, is void as a whole, and so is one of which a part could not be added.
///
/// Errors: `TIDELOG_INVALID_HANDLE` when the callback has returned, `TIDELOG_LIMIT` for more steps than a round has windows,
/// `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_UNKNOWN_OPTION`.
///
/// Threads: any, while the callback runs. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_policy_plan_add(
    plan: *mut tidelog_policy_plan,
    steps: *const tidelog_policy_step,
    count: usize,
    stride: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let read = || {
            // SAFETY: the caller's pointers, as the header says.
            let steps = unsafe { raw::structs(steps, count, stride, "steps")? };
            steps.iter().map(step_of).collect()
        };
        handle::find::<OpenPlan>(plan.addr())?.add(count, read)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_policy_plan_add", error, call) }
}

/// Says why there is no plan, for the event and the status. Counts when the callback returns something else than `TIDELOG_OK`; the last
/// one counts.
///
/// Errors: `TIDELOG_INVALID_HANDLE` when the callback has returned, `TIDELOG_INVALID_ARGUMENT`.
///
/// Threads: any, while the callback runs. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_policy_plan_explain(
    plan: *mut tidelog_policy_plan,
    why: *const c_char,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<OpenPlan>(plan.addr())?;
        // SAFETY: the caller's pointer, as the header says.
        open.explain(unsafe { raw::text(why, "why")? })?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_policy_plan_explain", error, call) }
}

impl Callback<tidelog_policy_plan_fn> {
    /// Asks the host. The plan has a handle for as long as that takes.
    pub(crate) fn plan(&self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let internal = |text| PolicyError::new(PolicyErrorKind::Internal, text);
        let (Some(function), user) = self.parts() else { return Err(internal("it is NULL")) };
        let given = |fault: Fault| PolicyError::new(PolicyErrorKind::Internal, fault.message);
        let handle = handle::insert(OpenPlan::new()).map_err(given)?;
        // SAFETY: the caller's function with the caller's pointer, one call at a time.
        let status = told(round, |round| unsafe {
            function(user, round, std::ptr::without_provenance_mut(handle))
        });
        handle::take::<OpenPlan>(handle).map_err(given)?.answer(status)
    }
}

/// A table as the caller's header knows it.
///
/// # Safety
/// `table` is NULL or what the header says.
unsafe fn table_of(table: *const tidelog_policy_table) -> Result<tidelog_policy_table, Fault> {
    raw::check_put(table, "table")?;
    // SAFETY: as promised to this function.
    unsafe { raw::options(table) }
}

/// The policy of a table, which is dropped on every way out from here on; `None` for NULL.
///
/// # Safety
/// `table` is NULL or what the header says.
pub unsafe fn policy_of(table: *const tidelog_policy_table) -> Result<Option<Given>, Fault> {
    if table.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised to this function.
    unsafe {
        let table = table_of(table)?;
        let callback = Callback::new(table.plan, table.user, table.drop);
        given(&table, callback).map(Some)
    }
}

/// # Safety
/// The pointers of the table are what the header says.
unsafe fn given(
    table: &tidelog_policy_table,
    callback: Callback<tidelog_policy_plan_fn>,
) -> Result<Given, Fault> {
    raw::check_flags(u64::from(table.reserved), 0, tidelog_policy_table::NAME)?;
    // SAFETY: as promised to this function.
    let (name, options, state, record) = unsafe {
        (
            raw::text(table.name, "the name of a policy")?,
            raw::slice(table.options, table.options_length, "options")?,
            raw::text_or_null(table.state, "state")?,
            raw::text_or_null(table.record, "record")?,
        )
    };
    if name.is_empty() {
        return Err(Fault::argument("the name of a policy is empty: give it one"));
    }
    if table.plan.is_none() {
        return Err(raw::null("plan"));
    }
    let within = |what: &str, given: u64, least: u64, most: u64| {
        let fits = given == 0 || (least..=most).contains(&given);
        let message = || format!("{what} is {given}: give {least} to {most}, or zero");
        if fits { Ok(()) } else { Err(Fault::argument(message())) }
    };
    within("max_deferral_ms", table.max_deferral_ms, 1_000, u64::MAX)?;
    within("timeout_ms", table.timeout_ms, 10, 10_000)?;
    let millis = |millis: u64| (millis > 0).then(|| Duration::from_millis(millis));
    Ok(Given {
        policy: Box::new(Asked::new(name, move |round: &Round| callback.plan(round))),
        options: options.to_vec(),
        max_deferral: millis(table.max_deferral_ms),
        timeout: millis(table.timeout_ms),
        bytes_per_day: (table.bytes_per_day > 0).then_some(table.bytes_per_day),
        state: state.map(Into::into),
        record: record.map(Into::into),
    })
}

/// Asks a policy about a round that was recorded, without a node and on this thread, and holds the plan against the round as a node
/// does. `recorded` is an entry of a record file without its length. One row: "plan" (bytes: what it said, in the form of the
/// record; absent when it had none), "why" (string: why everything would be repaired instead; absent when its plan fits), "carried_out"
/// (bytes: what would be done, windows that have waited too long first), "overdue" (u64: with so many steps whatever the budget
/// says). Of the table `name`, `plan` and `user` count; `drop` is not called, and no time is kept.
///
/// Errors: `TIDELOG_INVALID_ARGUMENT` when the bytes are no round, or the table cannot be; `TIDELOG_UNKNOWN_OPTION`.
///
/// Threads: any. Blocks: as long as the policy. Since: 0.1.
/// Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_policy_replay(
    table: *const tidelog_policy_table,
    recorded: *const u8,
    length: usize,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let recorded = raw::slice(recorded, length, "recorded")?;
            hand_out(Rows::of_table(replayed(table, recorded)?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_policy_replay", error, call) }
}

/// # Safety
/// `table` is NULL or what the header says.
pub unsafe fn replayed(
    table: *const tidelog_policy_table,
    recorded: &[u8],
) -> Result<Table, Fault> {
    // SAFETY: as promised to this function.
    let mut given = unsafe {
        let table = table_of(table)?;
        given(&table, Callback::new(table.plan, table.user, None))?
    };
    replay(&mut *given.policy, recorded)
}
