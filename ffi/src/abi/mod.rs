//! The C ABI: each file with functions is a section of `tidelog.h`, in the order that `tests/header.rs` has; its comments
//! are the header's. Reading what callers hand in is `raw`, what every call goes through is `entry`.
//!
//! This folder is the one home of `unsafe` in this crate. Functions here convert, call what is behind, and convert back.

#![expect(unsafe_code, reason = "the edge to C: raw pointers come in and go out here")]
#![allow(
    non_camel_case_types,
    unreachable_pub,
    clippy::missing_safety_doc,
    reason = "names and visibility are those of the C header; what a caller owes is said once at its top"
)]

mod arrow;
mod arrow_in;
mod arrow_out;
mod batch;
mod callback;
mod collection;
mod copies;
mod digest;
mod entry;
mod event;
pub(crate) mod fork;
#[cfg(test)]
mod layout;
mod library;
mod log;
mod member;
mod node;
mod pin;
mod policy;
mod query;
mod raw;
mod result;
mod store;
mod tail;
mod upkeep;
mod write;

/// What the cxx bridge stands on.
pub mod inside {
    pub use super::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema};
    pub use super::batch::{
        append_arrow, append_columns, kind_of, tidelog_arrow_options, tidelog_column,
    };
    pub use super::collection::{delete_of, leaf_of, tidelog_delete_options};
    pub use super::copies::{
        copied_of, recovered_of, tidelog_backup_report, tidelog_recover_report,
    };
    pub use super::digest::{level_of, range_of};
    pub use super::entry::guarded;
    pub use super::event::tidelog_event;
    pub use super::fork::{in_child, watch};
    pub use super::member::tidelog_dropped_group;
    pub use super::node::{
        repair, settings, tidelog_node_options, tidelog_repair_options, tidelog_sync_options, visit,
    };
    pub use super::pin::pin;
    pub use super::policy::{policy_of, replayed, tidelog_policy_table};
    pub use super::query::{method_of, one_field, query_of, tidelog_query_options};
    pub use super::raw::{text, utf8};
    pub use super::result::{OpenResult, tidelog_block, tidelog_explain};
    pub use super::store::{info_of, open_options, tidelog_open_options, tidelog_store_info};
    pub use super::tail::{position_of, record_of, tail_of};
    pub use super::upkeep::{
        checked_of, seal_of, stats_of, tidelog_check_report, tidelog_seal_report, tidelog_stats,
    };
    pub use super::write::{
        OpenTicket, durability, receipt_of, tidelog_position, tidelog_receipt,
        tidelog_write_options,
    };
}

pub(crate) use callback::Callback;
#[cfg(feature = "replication")]
pub(crate) use event::*;
pub(crate) use library::*;
pub(crate) use log::*;
