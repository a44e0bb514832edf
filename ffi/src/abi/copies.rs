//! Copies and damage: backup, recover, adopt.

use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::result::{hand_out, tidelog_result};
use super::store::{store_of, tidelog_store};
use super::upkeep::{tidelog_progress_fn, told};
use crate::result::Rows;
use crate::tables;
use std::ffi::{c_char, c_void};
use tidelog_engine::{BackupReport, RecoverReport};

/// What was copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_backup_report {
    /// `sizeof(tidelog_backup_report)`, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows in them; a row that several files hold counts in each.
    pub rows: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_backup_report {
    const NAME: &'static str = "tidelog_backup_report";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_backup_report {}

/// Copies a store to the directory `path` (UTF-8), which does not exist yet or is empty, while writes go on; digests are
/// verified. The copy has everything that was acknowledged before the call, and opens like any other store: to write to it beside
/// the original, `tidelog_adopt` it first. `progress` and `report` may be NULL. `TIDELOG_STOPPED` when the callback said so: remove what
/// was copied.
///
/// Errors: `TIDELOG_LOCKED` when the directory is not empty or in use, `TIDELOG_CORRUPT` when a file of the store is damaged,
/// `TIDELOG_IO`.
///
/// Threads: any. Blocks: disk, long. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_backup(
    store: *mut tidelog_store,
    path: *const c_char,
    progress: tidelog_progress_fn,
    user: *mut c_void,
    report: *mut tidelog_backup_report,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointers, as the header says.
        let path = unsafe {
            raw::check_out(report)?;
            raw::text(path, "path")?
        };
        let copied = told(progress, user, |tell| store.backup(path, tell))?;
        let Some(copied) = copied else { return Ok(TIDELOG_STOPPED) };
        // SAFETY: as above.
        unsafe { raw::fill_if_wanted(report, &copied_of(&copied))? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_backup", error, call) }
}

pub fn copied_of(copied: &BackupReport) -> tidelog_backup_report {
    tidelog_backup_report {
        struct_size: 0,
        reserved: 0,
        files: copied.files,
        bytes: copied.bytes,
        rows: copied.rows,
    }
}

/// Gives the copied store in the directory `path` (UTF-8) an id of its own, so that it can be written to beside the original.
/// `store_id` (16 bytes, or NULL) gets the new one.
///
/// Errors: `TIDELOG_LOCKED` when it is open for writing, `TIDELOG_NOT_FOUND`, `TIDELOG_IO`.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_adopt(
    path: *const c_char,
    store_id: *mut u8,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let id = tidelog_engine::adopt(raw::text(path, "path")?)?;
            raw::put_if_wanted(store_id.cast::<[u8; 16]>(), id.0);
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_adopt", error, call) }
}

/// What recovery found and did.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_recover_report {
    /// `sizeof(tidelog_recover_report)`, set by the caller.
    pub struct_size: u32,
    /// 1 when the manifest was rebuilt; 0 when nothing was changed.
    pub manifest_replaced: u32,
    /// Files of the store now.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Writes and deletes in the log.
    pub log_records: u64,
    /// Files that the manifest did not list any more.
    pub listed_again: u64,
    /// Files written with what could be read of damaged ones.
    pub rescued: u64,
    /// Files moved to quarantine/.
    pub quarantined: u64,
    /// Files that are gone.
    pub missing: u64,
    /// How many things were wrong.
    pub findings: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_recover_report {
    const NAME: &'static str = "tidelog_recover_report";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_recover_report {}

/// Makes a damaged store in the directory `path` (UTF-8), which nobody has open, one that opens, with every row that can be read.
/// Damage moves to quarantine/; nothing is deleted, and a store that is well is left as it is. `findings` are as of
/// `tidelog_check`. `progress`, `report` and `findings` may be NULL. `TIDELOG_STOPPED` when the callback said so, before anything was changed.
///
/// Errors: `TIDELOG_LOCKED` when it is open, `TIDELOG_NOT_FOUND`, `TIDELOG_TOO_NEW`, `TIDELOG_IO`.
///
/// Threads: any. Blocks: disk, long. Since: 0.1.
/// Owns: `*findings` is the caller's, to be ended by `tidelog_result_close`; it is NULL unless `TIDELOG_OK` is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_recover(
    path: *const c_char,
    progress: tidelog_progress_fn,
    user: *mut c_void,
    report: *mut tidelog_recover_report,
    findings: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointers, as the header says.
        let path = unsafe {
            raw::put_if_wanted(findings, std::ptr::null_mut());
            raw::check_out(report)?;
            raw::text(path, "path")?
        };
        let found = told(progress, user, |tell| tidelog_engine::recover(path, tell))?;
        let Some(found) = found else { return Ok(TIDELOG_STOPPED) };
        // SAFETY: as above.
        unsafe {
            raw::fill_if_wanted(report, &recovered_of(&found))?;
            if findings.is_null() {
                return Ok(TIDELOG_OK);
            }
            hand_out(Rows::of_table(tables::findings(&found.findings)), findings)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_recover", error, call) }
}

pub fn recovered_of(found: &RecoverReport) -> tidelog_recover_report {
    tidelog_recover_report {
        struct_size: 0,
        manifest_replaced: u32::from(found.manifest_replaced),
        files: found.files.len() as u64,
        rows: found.rows,
        log_records: found.log_records,
        listed_again: found.listed_again.len() as u64,
        rescued: found.rescued.len() as u64,
        quarantined: found.quarantined.len() as u64,
        missing: found.missing.len() as u64,
        findings: found.findings.len() as u64,
    }
}
