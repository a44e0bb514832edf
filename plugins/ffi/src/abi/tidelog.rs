//! What this library knows of `tidelog.h`: numbers and structs, as they stand there. `layout` holds them to the frozen ones.

use super::raw::Plain;
use std::ffi::{c_char, c_void};

pub type tidelog_status = i32;

pub const TIDELOG_OK: i32 = 0;
pub const TIDELOG_STOPPED: i32 = 3;
pub const TIDELOG_INVALID_ARGUMENT: i32 = -1;
pub const TIDELOG_INVALID_HANDLE: i32 = -2;
pub const TIDELOG_UNKNOWN_OPTION: i32 = -3;
pub const TIDELOG_UNSUPPORTED: i32 = -4;
pub const TIDELOG_PANIC: i32 = -5;
pub const TIDELOG_FORKED: i32 = -6;
pub const TIDELOG_NOT_FOUND: i32 = -9;
pub const TIDELOG_LIMIT: i32 = -14;
pub const TIDELOG_IO: i32 = -15;
pub const TIDELOG_CORRUPT: i32 = -18;
pub const TIDELOG_TOO_NEW: i32 = -19;

pub const TIDELOG_KIND_NONE: u32 = 0;
pub const TIDELOG_KIND_RETRY: u32 = 1;
pub const TIDELOG_KIND_FIX_CALL: u32 = 2;
pub const TIDELOG_KIND_RESTORE: u32 = 4;
pub const TIDELOG_KIND_UPGRADE: u32 = 5;
pub const TIDELOG_KIND_BUG: u32 = 6;

pub const TIDELOG_COST_FREE: u32 = 0;
pub const TIDELOG_COST_METERED: u32 = 1;

pub const TIDELOG_ACTION_SKIP: u32 = 0;
pub const TIDELOG_ACTION_PULL: u32 = 1;
pub const TIDELOG_ACTION_PUSH: u32 = 2;
pub const TIDELOG_ACTION_BOTH: u32 = 3;
pub const TIDELOG_ACTION_DEFER: u32 = 4;
pub const TIDELOG_ACTION_ROLLUPS: u32 = 5;

#[repr(C)]
pub struct tidelog_error {
    pub struct_size: u32,
    pub code: tidelog_status,
    pub kind: u32,
    pub message_length: u32,
    pub message: [c_char; 496],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_text {
    pub data: *const c_char,
    pub length: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_log_record {
    pub struct_size: u32,
    pub level: u32,
    pub target: tidelog_text,
    pub message: tidelog_text,
    pub lost: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_peer {
    pub store_id: [u8; 16],
    pub up: u32,
    pub cost: u32,
    pub rtt_us: u32,
    pub reserved: u32,
    pub lag_ms: u64,
    pub agreed_ms_ago: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_side {
    pub rows: u64,
    pub bytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_window {
    pub collection: *const c_char,
    pub group: u32,
    pub devices: u32,
    pub first_ns: i64,
    pub last_ns: i64,
    pub ours: tidelog_policy_side,
    pub theirs: tidelog_policy_side,
    pub age_ms: u64,
    pub borrowed: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_round {
    pub struct_size: u32,
    pub peer: u32,
    pub now_ms: u64,
    pub budget_bytes: u64,
    pub max_deferral_ms: u64,
    pub peers: *const tidelog_policy_peer,
    pub peer_count: usize,
    pub peer_stride: usize,
    pub windows: *const tidelog_policy_window,
    pub window_count: usize,
    pub window_stride: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_step {
    pub window: u32,
    pub peer: u32,
    pub action: u32,
    pub reserved: u32,
    pub until_ms: u64,
}

pub struct tidelog_policy_plan {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_policy_table {
    pub struct_size: u32,
    pub reserved: u32,
    pub name: *const c_char,
    pub plan: tidelog_policy_plan_fn,
    pub drop: tidelog_drop_fn,
    pub user: *mut c_void,
    pub options: *const u8,
    pub options_length: usize,
    pub max_deferral_ms: u64,
    pub timeout_ms: u64,
    pub bytes_per_day: u64,
    pub state: *const c_char,
    pub record: *const c_char,
}

pub type tidelog_drop_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;
pub type tidelog_log_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, record: *const tidelog_log_record) -> i32>;
pub type tidelog_policy_plan_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        round: *const tidelog_policy_round,
        plan: *mut tidelog_policy_plan,
    ) -> i32,
>;

/// `tidelog_policy_plan_add`.
pub type AddFn = unsafe extern "C" fn(
    plan: *mut tidelog_policy_plan,
    steps: *const tidelog_policy_step,
    count: usize,
    stride: usize,
    error: *mut tidelog_error,
) -> tidelog_status;
/// `tidelog_policy_plan_explain`.
pub type ExplainFn = unsafe extern "C" fn(
    plan: *mut tidelog_policy_plan,
    why: *const c_char,
    error: *mut tidelog_error,
) -> tidelog_status;

// SAFETY: integers, and for the ones below pointers too; any bits are legal.
unsafe impl Plain for tidelog_policy_peer {
    const NAME: &'static str = "tidelog_policy_peer";
}
// SAFETY: as above.
unsafe impl Plain for tidelog_policy_window {
    const NAME: &'static str = "tidelog_policy_window";
}
// SAFETY: as above.
unsafe impl Plain for tidelog_policy_round {
    const NAME: &'static str = "tidelog_policy_round";
}
// SAFETY: as above, and functions that may be NULL.
unsafe impl Plain for tidelog_policy_table {
    const NAME: &'static str = "tidelog_policy_table";
}
