//! Upkeep: flush, seal, compact, check, figures.

use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::result::{hand_out, tidelog_result};
use super::store::{store_of, tidelog_store};
use crate::fault::Fault;
use crate::progress::told_by;
use crate::result::Rows;
use crate::tables;
use std::ffi::c_void;
use tidelog_engine::{CheckReport, SealReport};

/// Told how far a long piece of work has come, in bytes done and to do. Called on the thread that called, while a thread of
/// the library does the work, so it may call any function, with any handle. Returns 0 to go on, anything else to stop. It must
/// not throw, longjmp or fork.
pub type tidelog_progress_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, done: u64, total: u64) -> i32>;

/// Does long work, with the caller's callback when there is one. `None` when that stopped it.
pub(super) fn told<T: Send, E: Into<Fault> + Send>(
    progress: tidelog_progress_fn,
    user: *mut c_void,
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> bool) -> Result<T, E> + Send,
) -> Result<Option<T>, Fault> {
    let Some(function) = progress else {
        return work(&mut |_, _| true).map(Some).map_err(Into::into);
    };
    // SAFETY: the caller's function with the caller's pointer, on the caller's thread.
    told_by(|done, total| unsafe { function(user, done, total) } == 0, work)
}

/// Writes all rows in memory to files, and deletes the log they cover. The store does so by itself when memory is half full.
///
/// Errors: `TIDELOG_IO`: what was acknowledged stays where it was.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_flush(
    store: *mut tidelog_store,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        store_of(store)?.flush()?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_flush", error, call) }
}

/// What sealing made anew.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_seal_report {
    /// `sizeof(tidelog_seal_report)`, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Leaves of series.
    pub leaves: u64,
    /// Days, months and years of series.
    pub parents: u64,
    /// Nodes of the digest tree.
    pub windows: u64,
    /// Rows read for it.
    pub rows: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_seal_report {
    const NAME: &'static str = "tidelog_seal_report";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_seal_report {}

/// Flushes, then makes rollups and digests anew where rows and deletes have overtaken them. The store does so by itself; queries
/// and digests are right all the same. `progress` is told 0 of 1 after each device, and may be NULL; so may `report`.
///
/// `TIDELOG_STOPPED` when the callback said so: what was sealed stays.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_seal(
    store: *mut tidelog_store,
    progress: tidelog_progress_fn,
    user: *mut c_void,
    report: *mut tidelog_seal_report,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::check_out(report)? };
        let sealed = told(progress, user, |tell| store.seal_with(|| tell(0, 1)))?;
        let Some(sealed) = sealed else { return Ok(TIDELOG_STOPPED) };
        // SAFETY: as above.
        unsafe { raw::fill_if_wanted(report, &seal_of(&sealed))? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_seal", error, call) }
}

pub fn seal_of(sealed: &SealReport) -> tidelog_seal_report {
    tidelog_seal_report {
        struct_size: 0,
        reserved: 0,
        leaves: sealed.leaves,
        parents: sealed.parents,
        windows: sealed.windows,
        rows: sealed.rows,
    }
}

/// Flushes, then merges the files of each group into one with the codecs that put size first, applying deletes and retention.
/// `progress` may be NULL. `TIDELOG_STOPPED` when the callback said so: what was merged stays.
///
/// Threads: any. Blocks: disk, long. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_compact(
    store: *mut tidelog_store,
    progress: tidelog_progress_fn,
    user: *mut c_void,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        let done = told(progress, user, |tell| store.compact_with(tell))?;
        Ok(done.map_or(TIDELOG_STOPPED, |()| TIDELOG_OK))
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_compact", error, call) }
}

/// What a check has read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_check_report {
    /// `sizeof(tidelog_check_report)`, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Files that were read.
    pub files: u64,
    /// Their pages, over all columns.
    pub pages: u64,
    /// Rows in the pages that are whole.
    pub rows: u64,
    /// Bytes of files and log.
    pub bytes: u64,
    /// Writes and deletes in the log that are whole.
    pub log_records: u64,
    /// How many things are wrong.
    pub findings: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_check_report {
    const NAME: &'static str = "tidelog_check_report";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_check_report {}

/// Verifies everything: the manifest, every page of every file, the log. Changes nothing, goes on after damage, and returns
/// `TIDELOG_OK` whatever it finds: look at `report`, or at the rows of `findings`: "path", "what" (string), "collection", "device"
/// (string), "first_ns", "last_ns" (i64), the latter four absent where more than one is hit. `report`, `findings` and `progress` may
/// be NULL. `TIDELOG_STOPPED` when the callback said so.
///
/// Threads: any; flushes wait while the log is read. Blocks: disk, long. Since: 0.1.
/// Owns: `*findings` is the caller's, to be ended by `tidelog_result_close`; it is NULL unless `TIDELOG_OK` is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_check(
    store: *const tidelog_store,
    progress: tidelog_progress_fn,
    user: *mut c_void,
    report: *mut tidelog_check_report,
    findings: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(findings, std::ptr::null_mut());
            raw::check_out(report)?;
        }
        let store = store_of(store)?;
        let found = told(progress, user, |tell| store.check(tell))?;
        let Some(found) = found else { return Ok(TIDELOG_STOPPED) };
        // SAFETY: as above.
        unsafe {
            raw::fill_if_wanted(report, &checked_of(&found))?;
            if findings.is_null() {
                return Ok(TIDELOG_OK);
            }
            hand_out(Rows::of_table(tables::findings(&found.findings)), findings)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_check", error, call) }
}

pub fn checked_of(found: &CheckReport) -> tidelog_check_report {
    tidelog_check_report {
        struct_size: 0,
        reserved: 0,
        files: found.files,
        pages: found.pages,
        rows: found.rows,
        bytes: found.bytes,
        log_records: found.log_records,
        findings: found.findings.len() as u64,
    }
}

/// Figures of an open store, at one moment. Those that count something count since it was opened.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_stats {
    /// `sizeof(tidelog_stats)`, set by the caller.
    pub struct_size: u32,
    /// 1 when an fsync failed: nothing is acknowledged any more.
    pub poisoned: u32,
    /// Batches acknowledged or on their way.
    pub writes: u64,
    /// Rows in them.
    pub rows_written: u64,
    /// Values in them.
    pub values_written: u64,
    /// Rows taken from other stores.
    pub rows_applied: u64,
    /// Rows refused because they are older than what retention keeps.
    pub rows_settled: u64,
    /// Rows given up because the store was at its bound.
    pub rows_evicted: u64,
    /// Times a writer waited for memory.
    pub waits_for_room: u64,
    /// Writes in the log that wait for their fsync.
    pub writes_waiting: u64,
    /// Fsyncs of the log.
    pub log_syncs: u64,
    /// Bytes appended to the log.
    pub log_bytes_written: u64,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// Segments of the log on disk.
    pub log_segments: u64,
    /// Bytes of rows in memory.
    pub memory_bytes: u64,
    /// Rows in memory.
    pub memory_rows: u64,
    /// The budget they must keep.
    pub memory_budget: u64,
    /// Bytes of parsed indexes.
    pub cache_bytes: u64,
    /// Flushes that ended well.
    pub flushes: u64,
    /// Flushes that did not.
    pub flush_failures: u64,
    /// Bytes of files written by flushes.
    pub flushed_bytes: u64,
    /// Compactions that ended well.
    pub compactions: u64,
    /// Compactions that did not.
    pub compaction_failures: u64,
    /// Bytes of files written by compactions.
    pub compacted_bytes: u64,
    /// Files there are.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Files that cannot be read.
    pub files_broken: u64,
    /// Files whose rows rollups and digests do not count yet.
    pub files_unsealed: u64,
    /// Deletes that are kept.
    pub tombstones: u64,
    /// Bytes written to files for each byte that flushes wrote; 0 before.
    pub write_amplification: f64,
}

// SAFETY: numbers without padding.
unsafe impl Plain for tidelog_stats {
    const NAME: &'static str = "tidelog_stats";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_stats {}

/// Figures of the store.
///
/// Threads: any. Blocks: disk, shortly. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_get_stats(
    store: *const tidelog_store,
    stats: *mut tidelog_stats,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let filled = stats_of(&store_of(store)?.stats());
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::fill(stats, &filled)? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_get_stats", error, call) }
}

pub fn stats_of(stats: &tidelog_engine::Stats) -> tidelog_stats {
    tidelog_stats {
        struct_size: 0,
        poisoned: u32::from(stats.poisoned),
        writes: stats.writes,
        rows_written: stats.rows_written,
        values_written: stats.values_written,
        rows_applied: stats.rows_applied,
        rows_settled: stats.rows_settled,
        rows_evicted: stats.rows_evicted,
        waits_for_room: stats.waits_for_room,
        writes_waiting: stats.writes_waiting,
        log_syncs: stats.log_syncs,
        log_bytes_written: stats.log_bytes_written,
        log_bytes: stats.log_bytes,
        log_segments: stats.log_segments,
        memory_bytes: stats.memory_bytes,
        memory_rows: stats.memory_rows,
        memory_budget: stats.memory_budget,
        cache_bytes: stats.cache_bytes,
        flushes: stats.flushes,
        flush_failures: stats.flush_failures,
        flushed_bytes: stats.flushed_bytes,
        compactions: stats.compactions,
        compaction_failures: stats.compaction_failures,
        compacted_bytes: stats.compacted_bytes,
        files: stats.files,
        file_bytes: stats.file_bytes,
        files_broken: stats.files_broken,
        files_unsealed: stats.files_unsealed,
        tombstones: stats.tombstones,
        write_amplification: stats.write_amplification,
    }
}
