//! Checking one file, of rows or of nodes: the same steps for both.

use super::Store;
use super::check::{CheckReport, Finding, Progress};
use super::open::MISSING;
use crate::disk::Disk;
use crate::error::UpkeepError;
use crate::files::Open;
use crate::group::{Cancelled, GroupFile, ReadError, Verified, file_path, plain};
use crate::ids::Tier;
use crate::manifest::{FileEntry, State};
use crate::nodes::{NodeFile, NodeSection};
use std::io;
use std::sync::Arc;

/// A file that can be checked.
pub(super) trait Checked: Sized {
    fn open(disk: &dyn Disk, path: &str) -> Result<Self, ReadError>;

    /// The same bytes, as if nothing of them had been verified yet.
    fn reopened(&self) -> Result<Self, ReadError>;

    fn is_of(&self, entry: &FileEntry, state: &State) -> bool;

    /// Is it the one that the manifest means?
    fn identified(self, entry: &FileEntry, state: &State) -> Result<Arc<Self>, String> {
        let another = || "another file stands in its place".to_owned();
        if self.is_of(entry, state) { Ok(Arc::new(self)) } else { Err(another()) }
    }

    fn verify(self: &Arc<Self>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Verified, Cancelled>;

    /// Does it say of itself what the manifest says of it?
    fn agrees(&self, entry: &FileEntry) -> bool;
}

impl Checked for GroupFile {
    fn open(disk: &dyn Disk, path: &str) -> Result<Self, ReadError> {
        GroupFile::open(disk, path)
    }

    fn reopened(&self) -> Result<Self, ReadError> {
        GroupFile::reopened(self)
    }

    fn is_of(&self, entry: &FileEntry, state: &State) -> bool {
        let (store, id) = self.made_as();
        // Its own files keep the id of the store as it was when they were written, before an adoption perhaps.
        let made = entry.made_as.unwrap_or((store, entry.id));
        let identity = (self.id(), (store, id), self.group(), self.len());
        identity == (entry.id, made, (entry.group, state.groups), entry.len)
    }

    fn verify(self: &Arc<Self>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Verified, Cancelled> {
        GroupFile::verify(self, go_on)
    }

    fn agrees(&self, entry: &FileEntry) -> bool {
        let summary = self.summary();
        summary.range == entry.range
            && summary.stamps == entry.stamps
            && summary.cleaned == entry.cleaned
            && (summary.dense, summary.rows, summary.values)
                == (entry.dense, entry.rows, entry.values)
            && summary.series == u64::from(entry.series)
            && self.sections().iter().map(|section| &section.name).eq(&entry.collections)
    }
}

/// What nodes say of rows is not held against them here: a node that is whole is what sealing wrote.
impl Checked for NodeFile {
    fn open(disk: &dyn Disk, path: &str) -> Result<Self, ReadError> {
        NodeFile::open(disk, path)
    }

    fn reopened(&self) -> Result<Self, ReadError> {
        NodeFile::of(self.container().reopened()?)
    }

    fn is_of(&self, entry: &FileEntry, state: &State) -> bool {
        let identity = (self.id(), self.tier(), self.group(), self.len());
        identity == (entry.id, entry.tier, (entry.group, state.groups), entry.len)
    }

    fn verify(self: &Arc<Self>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Verified, Cancelled> {
        NodeFile::verify(self, go_on)
    }

    fn agrees(&self, entry: &FileEntry) -> bool {
        let sections = self.sections();
        let standing = |section: &NodeSection| {
            let cleaned = section.settled.map(|settled| settled.cleaned).or(section.borrowed);
            (section.settled.is_some(), section.borrowed.is_some())
                == (entry.settled, entry.borrowed)
                && cleaned.is_none_or(|cleaned| cleaned == entry.cleaned)
        };
        sections.iter().map(|section| &section.name).eq(&entry.collections)
            && sections.iter().all(standing)
            && sections.iter().map(|section| section.nodes).sum::<u64>() == entry.rows
    }
}

/// What is wrong with a file whose every part is whole, if anything is.
fn differs<F: Checked>(entry: &FileEntry, file: &F, verified: &Verified) -> Option<String> {
    if !verified.flaws.is_empty() {
        return None;
    }
    if !file.agrees(entry) {
        return Some("the manifest says something else of the file's content".to_owned());
    }
    (verified.digest != Some(entry.blake3))
        .then(|| "the file is not the one that was written: its digest differs".to_owned())
}

impl Store {
    /// Verifies a file by its name: that is what the next opening finds.
    pub(super) fn check_file<F: Checked>(
        &self,
        open: &Open<F>,
        state: &State,
        total: u64,
        progress: Progress<'_>,
        report: &mut CheckReport,
    ) -> Result<(), UpkeepError> {
        let entry = &open.entry;
        let path = file_path(entry.group, entry.tier, entry.id);
        let done = report.bytes;
        report.files += 1;
        report.bytes += entry.len;
        let file = match F::open(&*self.inner.disk, &path) {
            Ok(file) => Ok(file),
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                match &open.file {
                    // Replaced since: the bytes are still here.
                    Ok(held) if !self.inner.files().state.files.contains_key(&entry.id) => {
                        held.reopened().map_err(|error| plain(&error))
                    }
                    _ => Err(MISSING.to_owned()),
                }
            }
            Err(error) => Err(plain(&error)),
        };
        let whole = |what: String| Finding {
            range: Some(entry.range),
            collection: match entry.collections.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
            ..Finding::of_file(&path, what)
        };
        let file = match file.and_then(|file| file.identified(entry, state)) {
            Ok(file) => file,
            Err(what) => {
                report.findings.push(whole(what));
                return Ok(());
            }
        };
        let share = |rows: u64| {
            let part = u128::from(entry.len) * u128::from(rows.min(entry.rows));
            u64::try_from(part / u128::from(entry.rows.max(1))).unwrap_or(entry.len)
        };
        let verified = F::verify(&file, &mut |rows| progress(done + share(rows), total));
        let Ok(verified) = verified else { return Err(UpkeepError::Cancelled) };
        report.pages += verified.pages;
        // Of nodes these are nodes.
        report.rows += if entry.tier == Tier::Raw { verified.rows } else { 0 };
        if let Some(what) = differs(entry, &*file, &verified) {
            report.findings.push(whole(what));
        }
        let flaws = verified.flaws.into_iter();
        report.findings.extend(flaws.map(|flaw| Finding::new(&path, flaw)));
        Ok(())
    }
}
