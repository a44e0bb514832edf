//! Stores: opening and closing.

use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use crate::fault::Fault;
use crate::handle::{self, Handled};
use std::ffi::c_char;
use std::path::PathBuf;
use std::time::Duration;
use tidelog_engine::{Options, Store, Upkeep};

/// An open store: one directory, one writer, any number of read-only openers beside it.
pub struct tidelog_store {
    _opaque: [u8; 0],
}

/// What a store's handle stands for.
pub(crate) struct OpenStore {
    pub(crate) store: Store,
    pub(crate) path: PathBuf,
}

impl Handled for OpenStore {
    const KIND: &'static str = "store";
}

/// Open for reading only, beside a writer if there is one: the newest state at the time of opening.
pub const TIDELOG_OPEN_READ_ONLY: u32 = 1;
/// Do not create a store where there is none.
pub const TIDELOG_OPEN_EXISTING: u32 = 2;
/// Refuse to open when recovery finds damage, instead of going on without what is damaged.
pub const TIDELOG_OPEN_STRICT: u32 = 4;
/// Read files with plain reads and not through memory maps: for network file systems, or where others write.
pub const TIDELOG_OPEN_PLAIN_READS: u32 = 8;
/// Make rollups and digests on demand only.
pub const TIDELOG_OPEN_NO_PYRAMID: u32 = 16;
/// Give up the oldest data beyond `max_bytes`, though no other store holds it: a flight recorder.
pub const TIDELOG_OPEN_RING: u32 = 32;
/// No threads: writers flush when memory is full, tickets sync when they are waited for, `tidelog_compact` compacts.
pub const TIDELOG_OPEN_NO_THREADS: u32 = 64;
const OPEN_FLAGS: u64 = 127;

/// How a store is opened. Zero means the default, everywhere.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_open_options {
    /// `sizeof(tidelog_open_options)`.
    pub struct_size: u32,
    /// A sum of `TIDELOG_OPEN_*`.
    pub flags: u32,
    /// Bytes that rows in memory may take: 128 MiB, at least 1 MiB. A process that only writes peaks at a quarter more and
    /// 64 MiB.
    pub memory_budget: u64,
    /// Bytes that parsed indexes of files may take: 64 MiB.
    pub cache_budget: u64,
    /// The log is cut into segments of about so many bytes: 16 MiB, at least 64 KiB.
    pub segment_bytes: u64,
    /// Bytes that files may take: any number. Needs `TIDELOG_OPEN_RING` while this store is the only holder of its data.
    pub max_bytes: u64,
    /// How far the stamps of a peer's writes may be ahead of the clock here, in nanoseconds: 10 s.
    pub clock_ahead_max_ns: u64,
    /// Over how many groups devices are spread, 1 to 4,096: 8. Fixed when a store is created; another number is refused
    /// afterwards.
    pub groups: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: integers without padding, and a size in front.
unsafe impl Plain for tidelog_open_options {
    const NAME: &'static str = "tidelog_open_options";
}
// SAFETY: as above.
unsafe impl Sized32 for tidelog_open_options {}

/// What opening found, and what was opened.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_store_info {
    /// `sizeof(tidelog_store_info)`, set by the caller.
    pub struct_size: u32,
    /// Over how many groups devices are spread.
    pub groups: u32,
    /// The store's id: the origin of the stamps it draws.
    pub store_id: [u8; 16],
    /// This opening; positions of the log belong to one. Zero when open for reading only.
    pub incarnation: [u8; 16],
    /// Writes and deletes read back from the log.
    pub log_records: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Bytes of an unfinished append that were cut off the log: nobody was told they are durable.
    pub torn_bytes: u64,
    /// How many files are damaged. `tidelog_check` tells which.
    pub damaged: u64,
    /// Milliseconds that the latest stamp is ahead of the wall clock: the clock went back.
    pub clock_behind_ms: u64,
    /// Files left over from unfinished work that were removed.
    pub swept: u64,
}

// SAFETY: integers without padding, and a size in front.
unsafe impl Plain for tidelog_store_info {
    const NAME: &'static str = "tidelog_store_info";
}
// SAFETY: as above.
unsafe impl Sized32 for tidelog_store_info {}

/// Opens the store in the directory `path` (UTF-8), and creates it when there is none. `abi_version` is
/// `TIDELOG_ABI_VERSION`, as the program's header has it; a library that does not serve it refuses with
/// `TIDELOG_VERSION_MISMATCH`. `options` may be NULL.
///
/// A store has two threads of its own, for flushing and syncing, unless it is opened with `TIDELOG_OPEN_NO_THREADS`. It
/// handles no signals. A process that forks does so before its first store is opened: calls in a child return
/// `TIDELOG_FORKED`.
///
/// Errors: `TIDELOG_LOCKED` when it is open for writing elsewhere, `TIDELOG_NOT_FOUND`, `TIDELOG_CORRUPT` with
/// `TIDELOG_OPEN_STRICT`, `TIDELOG_TOO_NEW`, `TIDELOG_IO`.
///
/// Threads: any. Blocks: disk, while the log is read back (some 100 ms for 64 MiB). Since: 0.1.
/// Owns: `*store` is the caller's, to be ended by `tidelog_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_open(
    abi_version: u32,
    path: *const c_char,
    options: *const tidelog_open_options,
    store: *mut *mut tidelog_store,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(store, "store")?;
        // SAFETY: the caller's pointers, as the header says.
        let (path, options) = unsafe {
            raw::put_if_wanted(store, std::ptr::null_mut());
            check_version(abi_version)?;
            (raw::text(path, "path")?, raw::options(options)?)
        };
        let opened = open_options(&options)?.open(path)?;
        let handle = handle::insert(OpenStore { store: opened, path: path.into() })?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(store, std::ptr::without_provenance_mut(handle)) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_open", error, call) }
}

fn check_version(abi_version: u32) -> Result<(), Fault> {
    if serves(abi_version) {
        return Ok(());
    }
    let message = format!(
        "the program was compiled with version {abi_version} of the ABI, and this library ({}) serves up to {TIDELOG_ABI_VERSION}: pass TIDELOG_ABI_VERSION, and install the library that belongs to the header",
        env!("CARGO_PKG_VERSION")
    );
    Err(Fault::new(TIDELOG_VERSION_MISMATCH, TIDELOG_KIND_UPGRADE, message))
}

pub fn open_options(given: &tidelog_open_options) -> Result<Options, Fault> {
    raw::check_flags(u64::from(given.flags), OPEN_FLAGS, tidelog_open_options::NAME)?;
    raw::check_flags(u64::from(given.reserved), 0, tidelog_open_options::NAME)?;
    let has = |flag: u32| given.flags & flag != 0;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut options = Options::new()
        .read_only(has(TIDELOG_OPEN_READ_ONLY))
        .create(!has(TIDELOG_OPEN_EXISTING))
        .strict(has(TIDELOG_OPEN_STRICT))
        .map(!has(TIDELOG_OPEN_PLAIN_READS))
        .pyramid(!has(TIDELOG_OPEN_NO_PYRAMID))
        .ring(has(TIDELOG_OPEN_RING));
    if has(TIDELOG_OPEN_NO_THREADS) {
        options = options.upkeep(Upkeep::Caller);
    }
    if given.memory_budget > 0 {
        options = options.memory_budget(size(given.memory_budget));
    }
    if given.cache_budget > 0 {
        options = options.cache_budget(size(given.cache_budget));
    }
    if given.segment_bytes > 0 {
        options = options.segment_bytes(given.segment_bytes);
    }
    if given.max_bytes > 0 {
        options = options.max_bytes(given.max_bytes);
    }
    if given.clock_ahead_max_ns > 0 {
        options = options.clock_ahead_max(Duration::from_nanos(given.clock_ahead_max_ns));
    }
    if given.groups > 4096 {
        return Err(Fault::argument(format!(
            "groups is {}: 1 to 4,096 are possible",
            given.groups
        )));
    }
    if given.groups > 0 {
        options = options.groups(given.groups);
    }
    Ok(options)
}

/// Makes everything durable, closes the store and gives up its lock; `*store` is NULL afterwards, whatever is returned. NULL,
/// or a pointer to NULL, is no error.
///
/// What was made from the store keeps what it needs of it alive: results and tickets can still be read, waited for and
/// closed. Tails end, and calls that write get `TIDELOG_CLOSED`; stop nodes before.
///
/// Errors: `TIDELOG_POISONED` or `TIDELOG_IO` when the last fsync failed: what was acknowledged as durable is so all the same.
///
/// Threads: any, also while others are in calls with the store: those end well or with `TIDELOG_CLOSED`. Blocks: disk.
/// Since: 0.1. Owns: takes `*store`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_close(
    store: *mut *mut tidelog_store,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    unsafe {
        entry("tidelog_close", error, || {
            let Some(handle) = taken(store) else { return Ok(TIDELOG_OK) };
            handle::take::<OpenStore>(handle)?.store.close()?;
            Ok(TIDELOG_OK)
        })
    }
}

/// Takes a handle out of the caller's variable; none when it is NULL.
///
/// # Safety
/// `variable` is NULL or the caller's to be written.
pub(super) unsafe fn taken<T>(variable: *mut *mut T) -> Option<usize> {
    if variable.is_null() {
        return None;
    }
    // SAFETY: not NULL, and as promised to this function.
    let handle = unsafe { variable.replace(std::ptr::null_mut()) };
    (!handle.is_null()).then(|| handle.addr())
}

/// The store of a handle.
pub(super) fn store_of(store: *const tidelog_store) -> Result<Store, Fault> {
    Ok(handle::find::<OpenStore>(store.addr())?.store.clone())
}

/// Who the store is, and what opening it found.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `*info` is filled, its `struct_size` says how far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_store_describe(
    store: *const tidelog_store,
    info: *mut tidelog_store_info,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::fill(info, &info_of(&store_of(store)?))? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_store_describe", error, call) }
}

pub fn info_of(store: &Store) -> tidelog_store_info {
    let report = store.open_report();
    tidelog_store_info {
        struct_size: 0,
        groups: store.group_count(),
        store_id: store.store_id().0,
        incarnation: store.incarnation().map_or([0; 16], |incarnation| incarnation.0),
        log_records: report.log_records,
        log_bytes: report.log_bytes,
        torn_bytes: report.torn_bytes,
        damaged: report.damage.len() as u64,
        clock_behind_ms: report.clock_behind_millis,
        swept: report.swept,
    }
}
