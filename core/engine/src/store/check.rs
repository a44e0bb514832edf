//! Checking a store: everything that was ever written is read again and held against what is said of it.

use super::Store;
use crate::error::UpkeepError;
use crate::files::FileSet;
use crate::group::{Flaw, file_path};
use crate::log::FrameInfo;
use crate::manifest::{
    FileEntry, Manifest, ManifestError, Mode, check_invariants, decode_tombstone,
};
use crate::wal::{self, AppliedPayload, KIND_ROWS, KIND_TOMBSTONE, RowsPayload};
use std::fmt;
use std::sync::{Arc, PoisonError};
use tidelog_model::{CollectionName, Incarnation, TimeRange, device};

/// What a check has read and found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
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
    /// All that is wrong, in the order in which it was met.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Is all as it should be?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Something wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file, in the store's directory.
    pub path: String,
    /// The collection that is hit, where only one is.
    pub collection: Option<CollectionName>,
    /// The device that is hit, as people write it, where only one is.
    pub device: Option<String>,
    /// The times that are hit: the window of a page, or of all that the damaged part leads to.
    pub range: Option<TimeRange>,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    pub(super) fn of_file(path: impl Into<String>, what: impl Into<String>) -> Self {
        Finding::new(path, Flaw::of_file(what))
    }

    pub(super) fn new(path: impl Into<String>, flaw: Flaw) -> Self {
        Finding {
            path: path.into(),
            collection: flaw.collection,
            device: flaw.device.map(|canonical| device::to_text(&canonical).into_owned()),
            range: flaw.range,
            what: flaw.what,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)?;
        if let Some(device) = &self.device {
            write!(f, "; device {device}")?;
        }
        if let Some(collection) = &self.collection {
            write!(f, " of {collection}")?;
        }
        match self.range {
            Some(range) => write!(f, ", from {} to {} ns", range.first(), range.last()),
            None => Ok(()),
        }
    }
}

/// Told bytes done and to do; stops the work by returning `false`.
pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

impl Store {
    /// Verifies everything: the manifest and its rules, every file and every page of every column in it,
    /// and the log on disk. Goes on after damage, so that all of it is found; changes nothing, but nodes of the
    /// pyramid that it finds damaged are made anew when their group is sealed next.
    ///
    /// Beside writes it checks the store as it was at the call. Reads all bytes, one page in memory at
    /// a time; flushes wait while the log is read. `progress` is told bytes done and to do, and stops
    /// the check by returning `false`.
    ///
    /// # Errors
    /// [`UpkeepError::Closed`] and [`UpkeepError::Cancelled`]. What cannot be read is a finding.
    pub fn check(
        &self,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<CheckReport, UpkeepError> {
        if self.inner.is_closed() {
            return Err(UpkeepError::Closed);
        }
        let files = self.inner.files();
        let total: u64 = files.all().map(|open| open.entry().len).sum();
        let mut report = CheckReport::default();
        self.check_manifest(&files, &mut report);
        for open in files.rows().chain(files.all_aside()) {
            self.check_file(open, &files.state, total, &mut progress, &mut report)?;
        }
        for open in files.all_nodes() {
            let known = report.findings.len();
            self.check_file(open, &files.state, total, &mut progress, &mut report)?;
            if report.findings.len() > known && !open.entry.settled {
                self.inner.node_damage.add(open.entry.group);
            }
        }
        self.check_log(&mut report);
        if !progress(total, total) {
            return Err(UpkeepError::Cancelled);
        }
        // Files of nodes have been made anew since.
        let listed = |path: &str| {
            let path_of = |entry: &FileEntry| file_path(entry.group, entry.tier, entry.id);
            files.all().any(|open| path_of(open.entry()) == path)
        };
        for (path, what) in &self.inner.report.damage {
            let replaced = path.ends_with(".tide") && !listed(path);
            if !replaced && !report.findings.iter().any(|finding| finding.path == *path) {
                let what = format!("{what} (found when the store was opened)");
                report.findings.push(Finding::of_file(path, what));
            }
        }
        Ok(report)
    }

    fn check_manifest(&self, files: &FileSet, report: &mut CheckReport) {
        let mut found = |path: String, what: String| {
            report.findings.push(Finding::of_file(path, what));
        };
        // Nothing is appended meanwhile.
        let manifest = self.inner.manifest();
        for state in [manifest.state(), &files.state] {
            if let Err(rule) = check_invariants(state) {
                found("MANIFEST".to_owned(), format!("a rule does not hold: {}", rule.0));
            }
        }
        let disk = &self.inner.disk;
        let beside_a_writer = self.inner.wal.is_none();
        let mut unfinished = None;
        match Manifest::open(Arc::clone(disk), Mode::ReadOnly) {
            Ok((on_disk, read)) => {
                if !beside_a_writer && on_disk.state() != manifest.state() {
                    found("MANIFEST".to_owned(), "it is not what the store wrote".to_owned());
                }
                if beside_a_writer && read.cut_bytes > 0 {
                    unfinished = Some(read.generation);
                }
            }
            Err(ManifestError::Damaged { what, .. }) => {
                let (file, what) = what.split_once(": ").unwrap_or(("MANIFEST", &what));
                found(file.to_owned(), what.to_owned());
            }
            Err(error) => found("MANIFEST".to_owned(), error.to_string()),
        }
        // Every frame of every generation, those that an opening does not need included.
        match Manifest::salvage(&**disk) {
            Ok((_, read)) => {
                let being_written = unfinished.map(|ordinal| format!("MANIFEST-{ordinal:08x}"));
                for damage in read.damage {
                    if being_written.as_ref() != Some(&damage.file) {
                        found(damage.file, damage.what);
                    }
                }
            }
            Err(error) => found("MANIFEST".to_owned(), error.to_string()),
        }
    }

    /// Reads the log on disk as an opening would.
    fn check_log(&self, report: &mut CheckReport) {
        let inner = &self.inner;
        // A flush would delete segments under us.
        let _one = inner.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let durable = inner.wal.as_ref().map(|wal| (wal.identity().ordinal, wal.durable()));
        let state = Arc::clone(inner.manifest().state());
        let openings: Vec<(u32, Incarnation)> =
            state.openings.iter().map(|opening| (opening.ordinal, opening.incarnation)).collect();
        let verify =
            |_: u32, frame: FrameInfo, payload: &[u8]| read_record(frame, payload, state.groups);
        let recovered = match wal::recover(
            &*inner.disk,
            state.store,
            state.covered,
            &openings,
            &state.ends,
            verify,
        ) {
            Ok(recovered) => recovered,
            Err(error) => {
                let what = format!("the log cannot be read: {error}");
                report.findings.push(Finding::of_file("wal", what));
                return;
            }
        };
        report.log_records += recovered.frames;
        report.bytes += recovered.bytes;
        for damage in recovered.damage {
            let what = match damage.bytes {
                Some((from, to)) => format!("{} (bytes {from} to {to})", damage.what),
                None => damage.what.to_owned(),
            };
            report.findings.push(Finding::of_file(damage.path, what));
        }
        // Behind what was synced the live end is still being written; before it nothing may be torn.
        if let (Some((ordinal, durable)), Some((path, at))) = (durable, recovered.torn)
            && recovered.end.ordinal == ordinal
            && recovered.end.offset < durable
        {
            let what = format!("a record that was durable is damaged (from byte {at})");
            report.findings.push(Finding::of_file(path, what));
        }
    }
}

/// Is a record of the log one that an opening would take?
pub(super) fn read_record(
    frame: FrameInfo,
    payload: &[u8],
    groups: u32,
) -> Result<(), &'static str> {
    match frame.kind {
        KIND_ROWS => {
            let subs = RowsPayload::read(payload).map_err(|error| error.0)?;
            let same = subs.iter().all(|sub| sub.group().1 == groups);
            same.then_some(()).ok_or("a record is of another number of groups")
        }
        KIND_TOMBSTONE => {
            let encoded = wal::read_tombstone_payload(payload).map_err(|error| error.0)?;
            decode_tombstone(encoded).map(drop).map_err(|error| error.0)
        }
        wal::KIND_APPLIED => {
            let applied = AppliedPayload::read(payload).map_err(|error| error.0)?;
            let same = applied.subs.iter().all(|sub| sub.group().1 == groups);
            same.then_some(()).ok_or("a record is of another number of groups")
        }
        wal::KIND_END => Ok(()),
        _ => Err("a record is of an unknown kind"),
    }
}
